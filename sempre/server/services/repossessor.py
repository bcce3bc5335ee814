"""Frees the slots of leases that ran out. Idempotent: a lease and its slots go in one statement, or stay."""

from sempre.server.concurrency.leases import collect_expired
from sempre.server.scope import Scope

__all__ = ["run"]

_BATCH = 500
_MOST_BATCHES = 100


async def run(scope: Scope) -> None:
    for _ in range(_MOST_BATCHES):
        if await collect_expired(scope, _BATCH) < _BATCH:
            return
