"""Futures of submitted tasks, by their public names."""

from sempre.sdk.futures import DoneAndNotDone as DoneAndNotDoneFutures
from sempre.sdk.futures import Future as PrefectFuture
from sempre.sdk.futures import FutureList as PrefectFutureList
from sempre.sdk.futures import as_completed, resolve_futures_to_states, wait

__all__ = [
    "DoneAndNotDoneFutures",
    "PrefectFuture",
    "PrefectFutureList",
    "as_completed",
    "resolve_futures_to_states",
    "wait",
]
