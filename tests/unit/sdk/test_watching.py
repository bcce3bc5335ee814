"""What a process hears of the run that it executes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sempre.sdk.api import ClientOrchestrator
from sempre.sdk.engine.cancellations import CANCELLING, SUSPENDED
from sempre.sdk.engine.watching import RunWatch
from sempre.sdk.errors import TerminationSignal
from sempre.sdk.ids import new_id
from sempre.sdk.runs import FlowRun
from sempre.sdk.states import Scheduled
from tests.support.wait import eventually


def test_what_was_done_before_this_process_had_the_run_is_no_order() -> None:
    """The stream tells of the last minute too: a run that is retried right after it was cancelled goes on."""
    state = Scheduled()
    run = FlowRun(id=new_id(), name="run", flow_id=new_id(), state=state)
    watch = RunWatch(run, "f", ClientOrchestrator(), lambda event: None, 0)
    try:
        for event in (CANCELLING, SUSPENDED):
            watch.hear(event, state.timestamp - timedelta(seconds=30))
        assert not watch.cancelled
        assert not watch.suspended
        with pytest.raises(TerminationSignal):
            watch.hear(CANCELLING, state.timestamp + timedelta(seconds=1))
        assert watch.cancelled
    finally:
        watch.end()


def test_a_heartbeat_names_all_that_the_run_belongs_to() -> None:
    run = FlowRun(
        id=new_id(), name="run", flow_id=new_id(), tags=["b", "a"], deployment_id=new_id(), deployment_name="d",
        work_queue_id=new_id(), work_queue_name="q", work_pool_id=new_id(), work_pool_name="p",
    )  # fmt: skip
    told: list[dict[str, Any]] = []
    watch = RunWatch(run, "f", ClientOrchestrator(), told.append, 600)
    try:
        eventually(lambda: told, "the heart beats")
    finally:
        watch.end()
    assert [(each["prefect.resource.role"], each.get("prefect.resource.name")) for each in told[0]["related"]] == [
        ("flow", "f"), ("deployment", "d"), ("work-queue", "q"), ("work-pool", "p"), ("tag", None), ("tag", None),
    ]  # fmt: skip
    assert set(told[0]["resource"]) == {"prefect.resource.id", "prefect.resource.name", "prefect.version"}
