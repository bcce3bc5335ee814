"""A slot whose holder is gone is free again when its lease is over."""

from __future__ import annotations

import time

from sempre.canary.canary import Canary
from sempre.canary.limits import LEASE_SECONDS, LEASING, create_limit, slots_in_use, take
from sempre.canary.stage import Stage

__all__ = ["CANARY"]

_LATEST = LEASE_SECONDS + 30  # a server may collect what is over only every so often


def check(stage: Stage) -> None:
    name = create_limit(stage, 1)
    began = time.monotonic()
    stage.expect(take(stage, name), "the only slot of a new limit could not be taken")

    def free() -> bool:
        return slots_in_use(stage, name) == 0

    stage.wait("the slot of the abandoned lease is free", free, within=_LATEST)
    held = time.monotonic() - began
    stage.expect(held > LEASE_SECONDS - 2, f"the lease of {LEASE_SECONDS:.0f} s was over after {held:.1f} s")
    stage.expect(take(stage, name), "the slot is counted as free but cannot be taken")


CANARY = Canary(
    "abandoned-leases",
    "an abandoned slot is free when its lease is over, and not before",
    check,
    120.0,
    slow=True,
    needs=(LEASING,),
)
