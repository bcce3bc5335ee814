"""A world without a server: an orchestrator in memory that answers like one, and ears for events and lines."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sempre.core.states import StateDetails
from sempre.sdk.engine.effects import Request
from sempre.sdk.engine.requests import Answer, NewFlowRun, NewTrackingRun
from sempre.sdk.ids import new_id, now
from sempre.sdk.runs import FlowRun
from sempre.sdk.states import AwaitingRetry, State


class FakeWatch:
    def __init__(self) -> None:
        self.cancelled = False
        self.suspended = False
        self.ended = False

    def end(self) -> None:
        self.ended = True


class FakeOrchestrator:
    """Keeps runs and their histories. ``answers``: what to say first to proposals, instead of accepting them."""

    def __init__(self) -> None:
        self.flows: dict[str, UUID] = {}
        self.runs: dict[UUID, FlowRun] = {}
        self.histories: dict[UUID, list[State[Any]]] = {}
        self.keys: dict[str, UUID] = {}
        self.tracking: dict[tuple[UUID, str, str], UUID] = {}
        self.news: list[NewFlowRun] = []
        self.answers: list[Answer] = []
        self.seen: dict[UUID, Answer] = {}
        self.busy: list[float] = []
        self.leases: set[UUID] = set()
        self.retries: dict[UUID, int] = {}

    async def create_flow(self, name: str, tags: Sequence[str]) -> UUID:
        return self.flows.setdefault(name, new_id())

    async def create_flow_run(self, new: NewFlowRun) -> FlowRun:
        if new.key in self.keys:
            return self.runs[self.keys[new.key]]
        run = FlowRun(
            id=new_id(),
            name=new.name or f"run-{len(self.runs)}",
            flow_id=new.flow_id,
            state=new.state,
            parameters=new.parameters,
            tags=list(new.tags),
            parent_task_run_id=new.parent_task_run_id,
        )
        self.news.append(new)
        self.runs[run.id] = run
        self.histories[run.id] = [new.state]
        self.keys[new.key] = run.id
        self.retries[run.id] = new.retries
        return replace(run)

    async def read_flow_run(self, id: UUID) -> FlowRun:
        return replace(self.runs[id])

    async def name_flow_run(self, id: UUID, name: str) -> None:
        self.runs[id].name = name

    async def propose(self, flow_run_id: UUID, state: State[Any], transition_id: UUID, force: bool) -> Answer:
        if transition_id in self.seen:
            return self.seen[transition_id]
        if self.answers:
            return self.answers.pop(0)
        answer = self._take(flow_run_id, state)
        self.seen[transition_id] = answer
        return answer

    def _take(self, id: UUID, state: State[Any]) -> Answer:
        taken = state.copy(id=new_id(), timestamp=now(), state_details=replace(state.state_details, flow_run_id=id))
        if state.is_failed() and self.retries[id] > 0:
            self.retries[id] -= 1
            taken = AwaitingRetry(state_details=StateDetails(flow_run_id=id))
        self.histories[id].append(taken)
        self.runs[id].state = taken
        if taken.is_running():
            self.runs[id].run_count += 1
        return Answer("ACCEPT" if taken.type is state.type else "REJECT", taken)

    async def create_tracking_run(self, new: NewTrackingRun) -> UUID:
        return self.tracking.setdefault((new.flow_run_id, new.task_key, new.dynamic_key), new_id())

    async def find_child(self, task_run_id: UUID) -> FlowRun | None:
        found = [run for run in self.runs.values() if run.parent_task_run_id == task_run_id]
        return replace(found[-1]) if found else None

    async def hold_slots(self, tags: Sequence[str], task_run_id: UUID) -> tuple[UUID | None, float]:
        if self.busy:
            return None, self.busy.pop(0)
        lease = new_id()
        self.leases.add(lease)
        return lease, 0.0

    async def release_slots(self, lease_id: UUID) -> None:
        self.leases.discard(lease_id)


class FakeWorld:
    """Answers at once, in whatever thread or loop asks."""

    def __init__(self) -> None:
        self.api = FakeOrchestrator()
        self.events: list[dict[str, Any]] = []
        self.lines: list[dict[str, Any]] = []
        self.watches: list[FakeWatch] = []
        self._lock = threading.Lock()

    def emit(self, event: dict[str, Any]) -> None:
        self.events.append(event)

    def log(self, line: dict[str, Any]) -> None:
        self.lines.append(line)

    def ask(self, request: Request) -> Any:
        with self._lock:
            steps = request.of(self.api).__await__()
            try:
                next(steps)
            except StopIteration as end:
                return end.value
            raise AssertionError("the fake orchestrator waits for nothing")

    async def aask(self, request: Request) -> Any:
        await asyncio.sleep(0)
        return self.ask(request)

    def watch(self, run: FlowRun, flow_name: str) -> FakeWatch:
        watch = FakeWatch()
        self.watches.append(watch)
        return watch

    # What tests ask

    def states(self, run_name: str = "") -> list[str]:
        """Names of the states that task runs were told to be in, in order; of one task if named."""
        return [
            e["event"].removeprefix("prefect.task-run.")
            for e in self.events
            if e["event"].startswith("prefect.task-run.")
            and e["resource"]["prefect.resource.name"].startswith(run_name)
        ]

    def flow_states(self, number: int = 0) -> list[str]:
        """Names of the states of the flow run that was created as the nth."""
        return [state.name for state in list(self.api.histories.values())[number]]
