"""An automation fires once two things have happened, one after the other."""

from __future__ import annotations

import time

from sempre.canary.automations import create_automation, emit, fires, matching
from sempre.canary.canary import Canary
from sempre.canary.stage import Stage

__all__ = ["CANARY"]


def check(stage: Stage) -> None:
    parts = [matching(stage, "first", within=0), matching(stage, "second", within=0)]
    id = create_automation(stage, {"type": "sequence", "within": 60, "triggers": parts})

    def tell() -> None:
        emit(stage, "first")
        time.sleep(1)  # their order is that of their times, and clocks are what they are
        emit(stage, "second")

    fires(stage, id, tell)


CANARY = Canary("automation-sequence", "an automation of two triggers fires when they have in their order", check)
