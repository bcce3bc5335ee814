"""Short ways to make the values that transition tests are about."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

from sempre.core.states import State, StateDetails, StateType, default_name
from sempre.core.transitions import Decision, DeploymentLimit, FlowRunWrite, Inputs, Proposal, TaskRunWrite

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
EARLIER = NOW - timedelta(minutes=1)

_numbers: Iterator[int] = count(1)


def uid() -> UUID:
    return UUID(int=next(_numbers))


def at(seconds: float) -> datetime:
    """``seconds`` after NOW."""
    return NOW + timedelta(seconds=seconds)


def inputs(now: datetime = NOW, draw: float = 0.5) -> Inputs:
    return Inputs(now=now, state_id=uid(), mirror_state_id=uid(), lease_id=uid(), draw=draw)


def state(
    type: StateType, name: str | None = None, *, timestamp: datetime = EARLIER, data: Any = None, **details: Any
) -> State:
    return State(uid(), type, name or default_name(type), timestamp, data=data, details=StateDetails(**details))


def propose(
    type: StateType, name: str | None = None, *, message: str | None = None, data: Any = None, **details: Any
) -> Proposal:
    return Proposal(type, name or default_name(type), message, data, StateDetails(**details))


def limit(
    size: int = 1, in_use: int = 0, *, active: bool = True, cancel_new: bool = False, grace_seconds: float = 300.0
) -> DeploymentLimit:
    strategy = "CANCEL_NEW" if cancel_new else "ENQUEUE"
    return DeploymentLimit(uid(), size, active, in_use, strategy=strategy, grace_seconds=grace_seconds)  # type: ignore[arg-type]


def outcome(decision: Decision[FlowRunWrite] | Decision[TaskRunWrite]) -> str:
    """The decision in the notation of the tables: A, R0, R>TYPE, W, Ab."""
    status = decision.status.value
    if status == "REJECT":
        return "R0" if decision.write is None else f"R>{decision.write.state.type.value}"
    assert (decision.write is not None) == (status == "ACCEPT")
    return {"ACCEPT": "A", "WAIT": "W", "ABORT": "Ab"}[status]
