"""The vocabulary of transition decisions: what goes in (run, proposal, facts), what comes out (a decision).

Everything here is a value. Ids, the clock and randomness are inputs (:class:`Inputs`), so a decision can be
replayed exactly.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, Literal, TypeVar
from uuid import UUID

from sempre.core.states import Claimant, State, StateDetails, StateType

__all__ = [
    "CachedState",
    "Decision",
    "DeploymentLimit",
    "FlowRun",
    "FlowRunFacts",
    "FlowRunPolicy",
    "FlowRunWrite",
    "Inputs",
    "Policy",
    "Proposal",
    "SlotTake",
    "Status",
    "TagLimit",
    "TaskRun",
    "TaskRunFacts",
    "TaskRunPolicy",
    "TaskRunWrite",
]


W = TypeVar("W")


class Status(StrEnum):
    ACCEPT = "ACCEPT"
    REJECT = "REJECT"
    WAIT = "WAIT"
    ABORT = "ABORT"


class Policy(StrEnum):
    """Which list of rules applies (spec/orchestration 4.4, 5.2, 5.3, 6.2)."""

    CORE = "core"
    FORCED = "forced"
    LATE = "late"  # flow runs only: the late-runs service
    SILENT = "silent"  # flow runs only: of a run whose process fell silent; a crash is retried as a failure is


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposed state, before it has an id and a timestamp. ``name`` is already defaulted."""

    type: StateType
    name: str
    message: str | None = None
    data: Any = None
    details: StateDetails = field(default_factory=StateDetails)


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a pure rule may not make itself.

    ``now`` is the database's clock. ``state_id``, ``mirror_state_id`` and ``lease_id`` are fresh UUIDv7.
    ``draw`` is uniform in [0, 1): the only randomness (retry jitter, slot waits, a random pause key).
    """

    now: datetime
    state_id: UUID
    mirror_state_id: UUID
    lease_id: UUID
    draw: float


# --- flow runs -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FlowRunPolicy:
    """``empirical_policy`` of a flow run. ``retry_delay`` is whole seconds."""

    max_retries: int = 0
    retry_delay_seconds: float = 0.0
    retries: int | None = None
    retry_delay: int | None = None
    pause_keys: tuple[str, ...] = ()
    resuming: bool | None = False
    retry_type: Literal["in_process", "reschedule"] | None = None


@dataclass(frozen=True, slots=True)
class FlowRun:
    """The columns of a flow run that decisions read or change. Times are UTC; durations are seconds."""

    id: UUID
    state: State | None
    policy: FlowRunPolicy = field(default_factory=FlowRunPolicy)
    deployment_id: UUID | None = None
    parent_task_run_id: UUID | None = None
    infrastructure_pid: str | None = None
    run_count: int = 0
    start_time: datetime | None = None
    end_time: datetime | None = None
    expected_start_time: datetime | None = None
    next_scheduled_start_time: datetime | None = None
    total_run_time: float = 0.0


@dataclass(frozen=True, slots=True)
class DeploymentLimit:
    """The concurrency limit of the run's deployment, with what is held of it at the moment of reading."""

    id: UUID
    limit: int
    active: bool
    in_use: int  # live slots, this run's own included
    strategy: Literal["ENQUEUE", "CANCEL_NEW"] = "ENQUEUE"
    grace_seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class FlowRunFacts:
    """Everything outside the run that a flow-run decision depends on."""

    deployment_exists: bool = True
    limit: DeploymentLimit | None = None
    holds_slot: bool = False  # the run holds a live slot of its deployment's limit
    held_lease_id: UUID | None = None  # lease of that slot
    client_version: tuple[int, int, int] | None = None  # from the User-Agent; None = not a known client
    proposer: Claimant | None = None  # the worker that proposes, or on whose behalf the run's process does
    client_prerelease: str | None = None  # the full version text, e.g. "3.0.0rc20"
    api_version: tuple[int, int, int] | None = None  # X-PREFECT-API-VERSION; None = newest
    slot_wait_seconds: float = 30.0  # setting deployments.concurrency_slot_wait_seconds
    transitions_made: frozenset[str] = frozenset()  # transition ids that the run's newest states answered


@dataclass(frozen=True, slots=True)
class SlotTake:
    """Take (or renew) one slot of each limit for this run; all or nothing, idempotent per run.

    ``ttl_seconds`` None = the slot ends with the run, not with time.
    """

    limit_ids: tuple[UUID, ...]
    lease_id: UUID
    ttl_seconds: float | None
    renew_only: bool = False  # the run holds the slot: extend its lease, take nothing


@dataclass(frozen=True, slots=True)
class FlowRunWrite:
    """What an accepted or substituted transition persists, all of it or none."""

    state: State
    run: FlowRun  # the run with every derived column after the transition (``run.state is state``)
    take: SlotTake | None = None
    release: bool = False  # free every slot that orchestration holds for this run
    mirror: State | None = None  # forced onto the parent task run (subflows)


# --- task runs -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TaskRunPolicy:
    """``empirical_policy`` of a task run; delays in seconds."""

    max_retries: int = 0
    retry_delay_seconds: float = 0.0
    retries: int | None = None
    retry_delay: float | tuple[float, ...] | None = None
    retry_jitter_factor: float | None = None


@dataclass(frozen=True, slots=True)
class TaskRun:
    id: UUID
    state: State | None
    policy: TaskRunPolicy = field(default_factory=TaskRunPolicy)
    flow_run_id: UUID | None = None
    task_key: str = ""
    tags: tuple[str, ...] = ()
    run_count: int = 0
    flow_run_run_count: int = 0
    start_time: datetime | None = None
    end_time: datetime | None = None
    expected_start_time: datetime | None = None
    next_scheduled_start_time: datetime | None = None
    total_run_time: float = 0.0


@dataclass(frozen=True, slots=True)
class TagLimit:
    """A limit named ``tag:<tag>`` for one of the run's tags."""

    id: UUID
    tag: str
    limit: int
    active: bool
    in_use: int  # live slots, this run's own included
    held: bool = False  # this run already holds a slot of it
    avg_slot_occupancy_seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class CachedState:
    """The newest unexpired cache entry for the proposed ``cache_key``."""

    name: str
    message: str | None
    data: Any
    details: StateDetails


@dataclass(frozen=True, slots=True)
class TaskRunFacts:
    flow_run_exists: bool = True
    flow_run_run_count: int = 0
    flow_run_state: State | None = None
    tag_limits: tuple[TagLimit, ...] = ()
    cached: CachedState | None = None
    max_cache_key_length: int = 2000
    tag_slot_wait_seconds: float = 10.0
    client_version: tuple[int, int, int] | None = None


@dataclass(frozen=True, slots=True)
class TaskRunWrite:
    state: State
    run: TaskRun  # with every derived column after the transition
    take: SlotTake | None = None
    release: bool = False  # free the tag slots held by this run
    cache: tuple[str, datetime | None] | None = None  # (key, expiration): remember this state
    enqueue: bool = False  # background task: put it on its task_key's durable queue


# --- the outcome ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Decision(Generic[W]):
    """The answer to a proposal.

    ACCEPT and a substituting REJECT carry ``write``; a REJECT that keeps the current state, WAIT and ABORT
    do not.
    """

    status: Status
    write: W | None = None
    reason: str | None = None
    delay_seconds: int | None = None
