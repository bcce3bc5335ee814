"""An automation fires once two things have happened, in whatever order."""

from __future__ import annotations

from sempre.canary.automations import create_automation, emit, fires, matching
from sempre.canary.canary import Canary
from sempre.canary.stage import Stage

__all__ = ["CANARY"]


def check(stage: Stage) -> None:
    parts = [matching(stage, "one", within=0), matching(stage, "other", within=0)]
    id = create_automation(stage, {"type": "compound", "require": "all", "within": 60, "triggers": parts})

    def tell() -> None:
        emit(stage, "other")
        emit(stage, "one")

    fires(stage, id, tell)


CANARY = Canary("automation-compound", "an automation of two triggers fires when both have", check)
