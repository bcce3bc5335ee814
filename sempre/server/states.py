"""States between their three forms: database columns, the values rules decide on, and the wire."""

from dataclasses import fields
from typing import Any, NamedTuple
from uuid import UUID

from sempre.core.states import INTERNAL_DETAILS, State, StateDetails, StateType, has_persisted_result
from sempre.db.pool import Record

__all__ = ["Result", "columns", "from_row", "result_of", "row_to_wire", "to_wire"]

_SHOWN = tuple(f for f in fields(StateDetails) if f.name not in INTERNAL_DETAILS)
_DETAIL_NAMES = tuple(f.name for f in _SHOWN)
_EMPTY_DETAILS: dict[str, Any] = {f.name: f.default for f in _SHOWN}


class Result(NamedTuple):
    """A persisted result, ready to become an artifact row."""

    data: Any
    key: str | None
    type: str | None
    description: str | None


def from_row(row: Record, prefix: str = "state_") -> State | None:
    """The current state held in a run's ``state_*`` columns; ``None`` for a run without one."""
    if row[prefix + "id"] is None:
        return None
    return State(
        id=row[prefix + "id"],
        type=StateType(row[prefix + "type"]),
        name=row[prefix + "name"],
        timestamp=row[prefix + "timestamp"],
        message=row[prefix + "message"],
        data=row[prefix + "data"],
        details=StateDetails.from_json(row[prefix + "details"]),
    )


def result_of(state: State) -> Result | None:
    """What of a state's data outlives it: everything but absent and ``unpersisted`` data."""
    if not has_persisted_result(state):
        return None
    if not isinstance(state.data, dict):
        return Result(state.data, None, None, None)
    data = dict(state.data)
    return Result(
        key=data.pop("artifact_key", None),
        type=data.pop("artifact_type", None),
        description=data.pop("artifact_description", None),
        data=data,
    )


def columns(state: State, result: Result | None, prefix: str = "") -> dict[str, Any]:
    """Statement parameters for writing ``state`` (run columns and history row alike)."""
    return {
        prefix + "state_id": state.id,
        prefix + "state_type": state.type.value,
        prefix + "state_name": state.name,
        prefix + "state_timestamp": state.timestamp,
        prefix + "state_message": state.message,
        prefix + "stored_data": result.data if result else None,
        prefix + "state_details": state.details.to_json(),
    }


def to_wire(state: State | None) -> dict[str, Any] | None:
    """The protocol's form: every detail present. What describes a result's artifact is not part of the result."""
    if state is None:
        return None
    details = state.details
    result = result_of(state)
    return {
        "id": state.id,
        "type": state.type,
        "name": state.name,
        "timestamp": state.timestamp,
        "message": state.message,
        "data": state.data if result is None else result.data,
        "state_details": {name: getattr(details, name) for name in _DETAIL_NAMES},
    }


def row_to_wire(row: Record, prefix: str = "") -> dict[str, Any] | None:
    """The wire form straight from a row, without a detour through values: lists are read far more than decided on.

    ``prefix`` is ``"state_"`` for a run's columns and empty for a row of a history table.
    """
    id: UUID | None = row[prefix + "id"]
    if id is None:
        return None
    return {
        "id": id,
        "type": row[prefix + "type"],
        "name": row[prefix + "name"],
        "timestamp": row[prefix + "timestamp"],
        "message": row[prefix + "message"],
        "data": row[prefix + "data"],
        "state_details": _shown(row[prefix + "details"]),
    }


def _shown(stored: dict[str, Any] | None) -> dict[str, Any]:
    details = {**_EMPTY_DETAILS, **(stored or {})}
    if len(details) > len(_EMPTY_DETAILS):
        for name in INTERNAL_DETAILS:
            details.pop(name, None)
    return details
