"""Run states as the rules see them: immutable values with typed details.

The wire form lives in :mod:`sempre.schemas.states`, the stored form in :mod:`sempre.db`; this is the
form decisions are made on.
"""

from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

__all__ = [
    "INTERNAL_DETAILS",
    "TERMINAL",
    "Claimant",
    "State",
    "StateDetails",
    "StateType",
    "default_name",
    "has_persisted_result",
]


class StateType(StrEnum):
    SCHEDULED = "SCHEDULED"
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    CRASHED = "CRASHED"
    PAUSED = "PAUSED"
    CANCELLING = "CANCELLING"


TERMINAL = frozenset({StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED})


def default_name(type: StateType) -> str:
    """The name of a state that was proposed without one: its type in title case."""
    return type.value.replace("_", " ").title().replace(" ", "")


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who claimed a run: a worker's ``name``, and the ``id`` of its process where the server gave it one. Neither:
    somebody who did not say, like a runner."""

    name: str | None = None
    id: str | None = None

    def is_same(self, other: "Claimant") -> bool:
        """Both are known to be one and the same. Two that did not say are taken to be."""
        if self.id is not None and other.id is not None:
            return self.id == other.id
        return self.name == other.name

    def differs(self, other: "Claimant") -> bool:
        """Both said who they are, and are known to be two."""
        if self.id is not None and other.id is not None:
            return self.id != other.id
        return self.name is not None and other.name is not None and self.name != other.name

    def to_json(self) -> dict[str, str]:
        return {key: value for key, value in (("name", self.name), ("id", self.id)) if value is not None}

    @classmethod
    def from_json(cls, stored: dict[str, str]) -> "Claimant":
        return cls(stored.get("name"), stored.get("id"))


@dataclass(frozen=True, slots=True)
class StateDetails:
    """What a state carries beside its type; absent values are ``None`` (or ``False`` for the two flags).

    ``claim`` and ``taken_back`` are the server's own, never proposed and never shown: who claimed the run, and from
    whom it was taken back because nothing was heard of them any more.
    """

    flow_run_id: UUID | None = None
    task_run_id: UUID | None = None
    child_flow_run_id: UUID | None = None
    scheduled_time: datetime | None = None
    cache_key: str | None = None
    cache_expiration: datetime | None = None
    deferred: bool | None = False  # clients send null and compare what comes back
    untrackable_result: bool = False
    pause_timeout: datetime | None = None
    pause_reschedule: bool = False
    pause_key: str | None = None
    run_input_keyset: dict[str, str] | None = None
    refresh_cache: bool | None = None
    retriable: bool | None = None
    transition_id: UUID | None = None
    task_parameters_id: UUID | None = None
    traceparent: str | None = None
    deployment_concurrency_lease_id: UUID | None = None
    claim: Claimant | None = None
    taken_back: tuple[Claimant, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The stored form: only what differs from the defaults, ids and times as text."""
        out: dict[str, Any] = {}
        for name, default in _DEFAULTS:
            value = getattr(self, name)
            if value is default or value == default:
                continue
            if isinstance(value, UUID):
                value = str(value)
            elif isinstance(value, datetime):
                value = value.astimezone(UTC).isoformat().replace("+00:00", "Z")
            elif isinstance(value, Claimant):
                value = value.to_json()
            elif isinstance(value, tuple):
                value = [claimant.to_json() for claimant in value]
            out[name] = value
        return out

    @classmethod
    def from_json(cls, stored: dict[str, Any] | None) -> "StateDetails":
        """Read the stored form back; keys this version does not know are ignored."""
        if not stored:
            return cls()
        values: dict[str, Any] = {}
        for name, value in stored.items():
            kind = _KINDS.get(name)
            if kind is None or (value is None and name != "deferred"):
                continue
            if kind == "uuid":
                value = UUID(value)
            elif kind == "datetime":
                value = datetime.fromisoformat(value)
            elif kind == "claimant":
                value = Claimant.from_json(value)
            elif kind == "claimants":
                value = tuple(Claimant.from_json(each) for each in value)
            values[name] = value
        return cls(**values)


_DEFAULTS = tuple((f.name, f.default) for f in fields(StateDetails))
INTERNAL_DETAILS = frozenset({"claim", "taken_back"})
_KINDS = {
    f.name: "uuid" if "UUID" in str(f.type) else "datetime" if "datetime" in str(f.type) else "plain"
    for f in fields(StateDetails)
} | {"claim": "claimant", "taken_back": "claimants"}


@dataclass(frozen=True, slots=True)
class State:
    """One state of a run. ``data`` is result metadata (any JSON value) or ``None``."""

    id: UUID
    type: StateType
    name: str
    timestamp: datetime
    message: str | None = None
    data: Any = None
    details: StateDetails = field(default_factory=StateDetails)

    @property
    def is_terminal(self) -> bool:
        return self.type in TERMINAL

    def with_details(self, **changes: Any) -> "State":
        return replace(self, details=replace(self.details, **changes))


def has_persisted_result(state: State) -> bool:
    """Whether losing this state would lose a result: data that is not marked ``unpersisted``.

    Data which is no mapping counts as persisted (a task result recorded in another shape is still one).
    """
    if state.data is None:
        return False
    return not (isinstance(state.data, dict) and state.data.get("type") == "unpersisted")
