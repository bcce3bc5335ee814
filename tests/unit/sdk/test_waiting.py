"""Waiting for runs that others execute."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from sempre.flow_runs import wait_for_flow_run
from sempre.sdk.errors import FlowRunWaitTimeout
from sempre.sdk.flows import flow
from sempre.sdk.runs import FlowRun
from sempre.sdk.states import Running
from tests.unit.sdk.fakes import FakeWorld


def test_a_run_that_has_ended(world: FakeWorld) -> None:
    flow(lambda: 1, name="short")()
    (id,) = world.api.runs
    assert wait_for_flow_run(id).state_name == "Completed"

    async def waits() -> FlowRun:
        return await wait_for_flow_run.aio(str(id))  # type: ignore[attr-defined, no-any-return]

    assert asyncio.run(waits()).id == id


def test_a_run_that_goes_on(world: FakeWorld) -> None:
    run = FlowRun(id=uuid4(), name="endless", flow_id=uuid4(), state=Running())
    world.api.runs[run.id] = run
    with pytest.raises(FlowRunWaitTimeout, match="endless"):
        wait_for_flow_run(run.id, timeout=0.3)
