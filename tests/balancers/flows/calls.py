"""Calls of the stock client at a steady rate: `calls.py SECONDS PER_SECOND`. Prints what the calls came to, as JSON.

A call fails here only when the client raises, that is when its own retries are used up.
"""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

from prefect import flow, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.states import Completed, Running

CONCURRENT = 25


@flow
def called() -> None:
    """Never executed: its runs are moved by the calls."""


class Caller:
    """What the calls of all callers came to."""

    def __init__(self, stop_at: float, pause: float) -> None:
        self.stop_at = stop_at
        self.pause = pause
        self.calls = self.runs = self.failed = 0
        self.slowest = 0.0

    async def run(self) -> None:
        async with get_client() as client:
            due = time.monotonic()
            while time.monotonic() < self.stop_at:
                try:
                    began = time.monotonic()
                    async for _ in self._one_run(client):
                        self.calls += 1
                        self.slowest = max(self.slowest, time.monotonic() - began)
                        due += self.pause
                        await asyncio.sleep(max(0.0, due - time.monotonic()))
                        began = time.monotonic()
                    self.runs += 1
                except Exception as error:
                    self.failed += 1
                    print(f"FAILED {type(error).__name__}: {error}", flush=True)

    async def _one_run(self, client: Any) -> AsyncIterator[Any]:
        run = await client.create_flow_run(called, name=uuid.uuid4().hex)
        yield run
        yield await client.set_flow_run_state(run.id, Running())
        yield await client.read_flow_run(run.id)
        yield await client.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run.id])))
        yield await client.set_flow_run_state(run.id, Completed())


async def main() -> None:
    seconds, per_second = float(sys.argv[1]), float(sys.argv[2])
    async with get_client() as client:
        await client.create_flow(called)
    print("CALLING", flush=True)
    caller = Caller(time.monotonic() + seconds, CONCURRENT / per_second)
    await asyncio.gather(*(caller.run() for _ in range(CONCURRENT)))
    counted = {"calls": caller.calls, "runs": caller.runs, "failed": caller.failed, "slowest": round(caller.slowest, 2)}
    print(json.dumps(counted), flush=True)


asyncio.run(main())
