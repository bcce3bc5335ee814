"""The questions that flow runs put to the API, and the seam behind which the client is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from sempre.sdk.engine.effects import Request
from sempre.sdk.runs import FlowRun
from sempre.sdk.states import State

__all__ = [
    "Answer",
    "CreateFlow",
    "CreateFlowRun",
    "FindChild",
    "HoldSlots",
    "NameFlowRun",
    "NewFlowRun",
    "NewTrackingRun",
    "Orchestrator",
    "Propose",
    "ReadFlowRun",
    "ReleaseSlots",
    "TrackChild",
]


@dataclass(frozen=True, slots=True)
class Answer:
    """How the server took a proposed state. ``status`` is ACCEPT, WAIT, REJECT or ABORT; ``state`` the run's state now
    (None if it has none); ``delay`` is in seconds, of WAIT only."""

    status: str
    state: State[Any] | None = None
    reason: str | None = None
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class NewFlowRun:
    """A flow run to be created; ``key`` makes creating it twice create it once."""

    flow_id: UUID
    key: str
    state: State[Any]
    parameters: dict[str, Any]
    name: str | None = None
    version: str | None = None
    tags: Sequence[str] = ()
    parent_task_run_id: UUID | None = None
    retries: int = 0
    retry_delay: int = 0


@dataclass(frozen=True, slots=True)
class NewTrackingRun:
    """The task run that stands for a subflow in its parent's run."""

    name: str
    flow_run_id: UUID
    task_key: str
    dynamic_key: str
    task_inputs: dict[str, list[dict[str, Any]]]
    version: str | None = None
    tags: Sequence[str] = ()


class Orchestrator(Protocol):
    """What the engine needs of the API. Errors are those of the client."""

    async def create_flow(self, name: str, tags: Sequence[str]) -> UUID: ...

    async def create_flow_run(self, new: NewFlowRun) -> FlowRun: ...

    async def read_flow_run(self, id: UUID) -> FlowRun: ...

    async def name_flow_run(self, id: UUID, name: str) -> None: ...

    async def propose(self, flow_run_id: UUID, state: State[Any], transition_id: UUID, force: bool) -> Answer: ...

    async def create_tracking_run(self, new: NewTrackingRun) -> UUID: ...

    async def find_child(self, task_run_id: UUID) -> FlowRun | None: ...

    async def hold_slots(self, tags: Sequence[str], task_run_id: UUID) -> tuple[UUID | None, float]: ...

    async def release_slots(self, lease_id: UUID) -> None: ...


@dataclass(frozen=True, slots=True)
class CreateFlow(Request):
    """-> the flow's id"""

    name: str
    tags: Sequence[str] = ()

    async def of(self, api: Orchestrator) -> UUID:
        return await api.create_flow(self.name, self.tags)


@dataclass(frozen=True, slots=True)
class CreateFlowRun(Request):
    """-> FlowRun"""

    new: NewFlowRun

    async def of(self, api: Orchestrator) -> FlowRun:
        return await api.create_flow_run(self.new)


@dataclass(frozen=True, slots=True)
class ReadFlowRun(Request):
    """-> FlowRun"""

    id: UUID

    async def of(self, api: Orchestrator) -> FlowRun:
        return await api.read_flow_run(self.id)


@dataclass(frozen=True, slots=True)
class NameFlowRun(Request):
    """-> None"""

    id: UUID
    name: str

    async def of(self, api: Orchestrator) -> None:
        await api.name_flow_run(self.id, self.name)


@dataclass(frozen=True, slots=True)
class Propose(Request):
    """-> Answer; the same transition id makes a repeated proposal one."""

    flow_run_id: UUID
    state: State[Any]
    transition_id: UUID
    force: bool = False

    async def of(self, api: Orchestrator) -> Answer:
        return await api.propose(self.flow_run_id, self.state, self.transition_id, self.force)


@dataclass(frozen=True, slots=True)
class TrackChild(Request):
    """-> id of the task run that tracks a subflow, the same for the same keys"""

    new: NewTrackingRun

    async def of(self, api: Orchestrator) -> UUID:
        return await api.create_tracking_run(self.new)


@dataclass(frozen=True, slots=True)
class FindChild(Request):
    """-> the FlowRun that an earlier attempt of the parent created for this tracking run, or None"""

    task_run_id: UUID

    async def of(self, api: Orchestrator) -> FlowRun | None:
        return await api.find_child(self.task_run_id)


@dataclass(frozen=True, slots=True)
class HoldSlots(Request):
    """-> (lease id, 0), (None, 0) if no tag is limited, or (None, seconds to wait) while all slots are taken"""

    tags: Sequence[str]
    task_run_id: UUID

    async def of(self, api: Orchestrator) -> tuple[UUID | None, float]:
        return await api.hold_slots(self.tags, self.task_run_id)


@dataclass(frozen=True, slots=True)
class ReleaseSlots(Request):
    """-> None"""

    lease_id: UUID

    async def of(self, api: Orchestrator) -> None:
        await api.release_slots(self.lease_id)
