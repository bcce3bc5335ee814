"""What a flow returned can be read again by whoever knows its run."""

from __future__ import annotations

from sempre.canary.canary import Canary
from sempre.canary.stage import Stage
from sempre.sdk.engine.requests import ReadFlowRun
from sempre.sdk.engine.world import current_world
from sempre.sdk.flows import flow

__all__ = ["CANARY"]

_VALUE = {"answer": 42, "list": [1, 2.5, None, "ü"]}


@flow
def compute() -> dict[str, object]:
    return _VALUE


def check(stage: Stage) -> None:
    flow = stage.own(compute, persist_result=True, result_storage=str(stage.folder()))
    played = stage.play(flow)
    again = current_world().ask(ReadFlowRun(played.id))
    stage.equal(again.state.result(), _VALUE, "the result that was read back")


CANARY = Canary("flow-results", "the kept result of a flow run is read back by its id", check)
