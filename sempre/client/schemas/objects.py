"""What deployments are given."""

from sempre.schemas.concurrency import ConcurrencyLimitConfig, ConcurrencyLimitStrategy, ConcurrencyOptions

__all__ = ["ConcurrencyLimitConfig", "ConcurrencyLimitStrategy", "ConcurrencyOptions"]
