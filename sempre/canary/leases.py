"""Slots of a limit are held under leases: given back they are free, and nobody gets more than there are."""

from __future__ import annotations

import threading
import time

from sempre.canary.canary import Canary
from sempre.canary.limits import LEASING, create_limit, slots_in_use, take
from sempre.canary.stage import Stage
from sempre.sdk.slots import concurrency

__all__ = ["CANARY"]

_COMPETITORS = 3


def check(stage: Stage) -> None:
    name = create_limit(stage, 1)
    lease = take(stage, name)
    stage.expect(lease is not None, "the only slot of a new limit could not be taken")
    stage.expect(take(stage, name) is None, "a slot that is held was given to somebody else")
    stage.client.release_concurrency_slots_with_lease(str(lease))
    stage.wait("the slot that was given back is free", lambda: slots_in_use(stage, name), lambda used: used == 0)
    _compete(stage, name)
    stage.wait("all slots are free again", lambda: slots_in_use(stage, name), lambda used: used == 0)


def _compete(stage: Stage, name: str) -> None:
    """Each of them gets the slot, one after the other."""
    inside = most = got = 0
    lock = threading.Lock()

    def compete() -> None:
        nonlocal inside, most, got
        with concurrency(name, timeout_seconds=max(1.0, stage.left)):
            with lock:
                inside += 1
                got += 1
                most = max(most, inside)
            time.sleep(0.1)
            with lock:
                inside -= 1

    stage.side_by_side([compete] * _COMPETITORS)
    stage.equal((most, got), (1, _COMPETITORS), "how many held the slot at once, and how many got it")


CANARY = Canary(
    "leases", "a limit's slot is held by one at a time, and all who wait for it get it", check, needs=(LEASING,)
)
