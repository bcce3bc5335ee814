"""An automation fires because something did not happen often enough."""

from __future__ import annotations

from sempre.canary.automations import create_automation, emit, fires, matching
from sempre.canary.canary import Canary
from sempre.canary.stage import Stage

__all__ = ["CANARY"]


def check(stage: Stage) -> None:
    trigger = matching(
        stage, "sign-of-life", posture="Proactive", after=["canary.birth"], threshold=5, within=10
    )  # the shortest that the protocol allows
    id = create_automation(stage, trigger)

    def tell() -> None:
        emit(stage, "birth")
        for _ in range(2):  # of the five that are expected
            emit(stage, "sign-of-life")

    fires(stage, id, tell, every=25.0)


CANARY = Canary("automation-proactive", "an automation fires when too few events come in time", check)
