"""The base of all faults."""

from __future__ import annotations

import random
import threading
import time
from typing import ClassVar

from tests.chaos.plan import SHORT
from tests.chaos.stage import Stage

Range = tuple[float, float]


class Fault:
    """One way to do harm, and how it is lifted.

    `name`: kind, as in the report. `family`: the short form deals at least one fault of each. `claims`: what it takes
    down; two faults at once never claim the same. `outage`: nothing can work while it lasts, so recovery counts from
    its end; otherwise the rest of the stage has to carry on, and recovery counts from the strike.
    """

    name: ClassVar[str] = ""
    family: ClassVar[str] = ""
    outage: ClassVar[bool] = False

    def __init__(self, stage: Stage, *claims: str) -> None:
        self.stage = stage
        self.claims = frozenset(claims)
        self.lifted: float | None = None
        """When the harm was over (epoch seconds), if that is before `strike` returns."""
        self.detail = ""
        self.hurry = threading.Event()
        """Set when the storm was called off: lift the harm now."""

    def strike(self, draw: random.Random) -> None:
        """Do harm, let it last, and lift it. What was taken down has been started again when this returns."""
        raise NotImplementedError

    def recovered(self) -> bool:
        """Whether what it took down itself is in order again. Probes say whether the service is (probes.py)."""
        return True

    def last(self, draw: random.Random, range: Range, *, short: Range | None = None) -> float:
        """Let the harm last for a drawn time (seconds), which is returned."""
        low, high = short if short and SHORT else range
        seconds = draw.uniform(low, high)
        self.hurry.wait(seconds)
        return seconds

    def lift(self) -> None:
        self.lifted = time.time()
