"""Slots and rates for coroutines."""

from sempre.sdk.slots import AcquireConcurrencySlotTimeoutError, ConcurrencySlotAcquisitionError
from sempre.sdk.slots import aconcurrency as concurrency
from sempre.sdk.slots import arate_limit as rate_limit

__all__ = ["AcquireConcurrencySlotTimeoutError", "ConcurrencySlotAcquisitionError", "concurrency", "rate_limit"]
