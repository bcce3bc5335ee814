"""What a process hears of the run that it executes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sempre.sdk.api import ClientOrchestrator
from sempre.sdk.engine.cancellations import CANCELLING, SUSPENDED
from sempre.sdk.engine.watching import RunWatch
from sempre.sdk.errors import TerminationSignal
from sempre.sdk.ids import new_id
from sempre.sdk.runs import FlowRun
from sempre.sdk.states import Scheduled


def test_what_was_done_before_this_process_had_the_run_is_no_order() -> None:
    """The stream tells of the last minute too: a run that is retried right after it was cancelled goes on."""
    state = Scheduled()
    run = FlowRun(id=new_id(), name="run", flow_id=new_id(), state=state)
    watch = RunWatch(run, ClientOrchestrator(), lambda event: None, 0)
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
