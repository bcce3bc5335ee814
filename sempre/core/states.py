"""Run states as the rules see them: immutable values with typed details.

The wire form lives in :mod:`sempre.schemas.states`, the stored form in :mod:`sempre.db`; this is the
form decisions are made on.
"""

from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

__all__ = ["TERMINAL", "State", "StateDetails", "StateType", "default_name", "has_persisted_result"]


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
class StateDetails:
    """What a state carries beside its type; absent values are ``None`` (or ``False`` for the two flags)."""

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
            values[name] = value
        return cls(**values)


_DEFAULTS = tuple((f.name, f.default) for f in fields(StateDetails))
_KINDS = {
    f.name: "uuid" if "UUID" in str(f.type) else "datetime" if "datetime" in str(f.type) else "plain"
    for f in fields(StateDetails)
}


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
