"""States as users hold them: light values, with the result at hand where there is one."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar
from uuid import UUID

from sempre.core.state_checks import StateChecks
from sempre.core.states import StateDetails, StateType, default_name
from sempre.sdk.ids import new_id, now

__all__ = [
    "NO_DETAILS",
    "AwaitingConcurrencySlot",
    "AwaitingRetry",
    "Cached",
    "Cancelled",
    "Cancelling",
    "Completed",
    "Crashed",
    "Failed",
    "Late",
    "NotReady",
    "Paused",
    "Pending",
    "Retrying",
    "RolledBack",
    "Running",
    "Scheduled",
    "State",
    "StateDetails",
    "StateType",
    "Submitting",
    "Suspended",
    "TimedOut",
]

R = TypeVar("R", covariant=True)

NO_DETAILS = StateDetails()


class State(StateChecks, Generic[R]):
    """One state of a run.

    ``data`` is the value or exception itself, a :class:`~sempre.sdk.results.record.ResultRecord` that has it, or, in a
    state read from the API, the JSON that says where it is kept. :meth:`result` makes the value of any of them.
    """

    __slots__ = ("data", "id", "message", "name", "state_details", "timestamp", "type")

    type: StateType
    name: str
    message: str | None
    data: Any
    state_details: StateDetails
    timestamp: datetime
    id: UUID

    def __init__(
        self,
        type: StateType | str,
        name: str | None = None,
        message: str | None = None,
        data: Any = None,
        state_details: StateDetails | None = None,
        timestamp: datetime | None = None,
        id: UUID | None = None,
    ) -> None:
        self.type = type if isinstance(type, StateType) else StateType(type)
        self.name = default_name(self.type) if name is None else name
        self.message = message
        self.data = data
        self.state_details = NO_DETAILS if state_details is None else state_details
        self.timestamp = now() if timestamp is None else timestamp
        self.id = new_id() if id is None else id

    def result(self, raise_on_failure: bool = True) -> R:
        """What the run returned; its exception is raised, or returned if not ``raise_on_failure``.

        Raises UnfinishedRun or PausedRun while there is none, MissingResult if the value was not kept.
        """
        from sempre.sdk.state_results import state_result  # loads what reads storages

        result: R = state_result(self, raise_on_failure)
        return result

    async def aresult(self, raise_on_failure: bool = True) -> R:
        """As :meth:`result`, without blocking the loop while a storage is read."""
        from asyncio import to_thread

        return await to_thread(self.result, raise_on_failure)

    def copy(self, **changes: Any) -> State[R]:
        """The same state with other fields. It keeps its id unless told otherwise."""
        values = {name: getattr(self, name) for name in State.__slots__}
        return State(**{**values, **changes})

    def of_run(self) -> bool:
        """It was a state of some run, not one that code made to be returned."""
        details = self.state_details
        return details.flow_run_id is not None or details.task_run_id is not None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, State):
            return NotImplemented
        return (self.type, self.name, self.message, self.data, self.state_details) == (
            other.type,
            other.name,
            other.message,
            other.data,
            other.state_details,
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        data = getattr(self.data, "result", self.data) if self.data is not None else None
        return f"{self.name}(message={self.message!r}, type={self.type.value}, result={data!r})"

    def __str__(self) -> str:
        parts = [repr(self.message)] if self.message else []
        if self.name != default_name(self.type):
            parts.append(f"type={self.type.value}")
        return f"{self.name}({', '.join(parts)})"


def Completed(**fields: Any) -> State[Any]:
    return State(StateType.COMPLETED, **fields)


def Cached(**fields: Any) -> State[Any]:
    return State(StateType.COMPLETED, **{"name": "Cached", **fields})


def RolledBack(**fields: Any) -> State[Any]:
    return State(StateType.COMPLETED, **{"name": "RolledBack", **fields})


def Failed(**fields: Any) -> State[Any]:
    return State(StateType.FAILED, **fields)


def TimedOut(**fields: Any) -> State[Any]:
    return State(StateType.FAILED, **{"name": "TimedOut", **fields})


def Crashed(**fields: Any) -> State[Any]:
    return State(StateType.CRASHED, **fields)


def Cancelling(**fields: Any) -> State[Any]:
    return State(StateType.CANCELLING, **fields)


def Cancelled(**fields: Any) -> State[Any]:
    return State(StateType.CANCELLED, **fields)


def Pending(**fields: Any) -> State[Any]:
    return State(StateType.PENDING, **fields)


def NotReady(**fields: Any) -> State[Any]:
    return State(StateType.PENDING, **{"name": "NotReady", **fields})


def Submitting(**fields: Any) -> State[Any]:
    return State(StateType.PENDING, **{"name": "Submitting", **fields})


def Running(**fields: Any) -> State[Any]:
    return State(StateType.RUNNING, **fields)


def Retrying(**fields: Any) -> State[Any]:
    return State(StateType.RUNNING, **{"name": "Retrying", **fields})


def Scheduled(scheduled_time: datetime | None = None, **fields: Any) -> State[Any]:
    """To be started at ``scheduled_time``, now by default."""
    details = fields.pop("state_details", None) or NO_DETAILS
    if scheduled_time is not None and details.scheduled_time is not None:
        raise ValueError("an extra scheduled_time was given: state_details has one already")
    when = scheduled_time or details.scheduled_time or now()
    return State(StateType.SCHEDULED, state_details=_with(details, scheduled_time=when), **fields)


def Late(scheduled_time: datetime | None = None, **fields: Any) -> State[Any]:
    return Scheduled(scheduled_time, **{"name": "Late", **fields})


def AwaitingRetry(scheduled_time: datetime | None = None, **fields: Any) -> State[Any]:
    return Scheduled(scheduled_time, **{"name": "AwaitingRetry", **fields})


def AwaitingConcurrencySlot(scheduled_time: datetime | None = None, **fields: Any) -> State[Any]:
    return Scheduled(scheduled_time, **{"name": "AwaitingConcurrencySlot", **fields})


def Paused(
    timeout_seconds: float | None = None,
    pause_expiration_time: datetime | None = None,
    reschedule: bool = False,
    pause_key: str | None = None,
    **fields: Any,
) -> State[Any]:
    """Waiting to be resumed, until ``timeout_seconds`` from now or ``pause_expiration_time``."""
    if timeout_seconds is not None and pause_expiration_time is not None:
        raise ValueError("say either timeout_seconds or pause_expiration_time, not both")
    until = pause_expiration_time if timeout_seconds is None else now() + timedelta(seconds=timeout_seconds)
    details = _with(
        fields.pop("state_details", None) or NO_DETAILS,
        pause_timeout=until,
        pause_reschedule=reschedule,
        pause_key=pause_key,
    )
    return State(StateType.PAUSED, state_details=details, **fields)


def Suspended(
    timeout_seconds: float | None = None,
    pause_expiration_time: datetime | None = None,
    pause_key: str | None = None,
    **fields: Any,
) -> State[Any]:
    """Paused, and the process is given up; a new one takes the run up again."""
    return Paused(timeout_seconds, pause_expiration_time, True, pause_key, **{"name": "Suspended", **fields})


def _with(details: StateDetails, **changes: Any) -> StateDetails:
    from dataclasses import replace

    return replace(details, **changes)
