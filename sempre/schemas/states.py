"""States on the wire: what clients propose and what they read back."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field

from sempre.core.state_checks import StateChecks
from sempre.core.states import State as CoreState
from sempre.core.states import StateDetails as CoreDetails
from sempre.core.states import StateType, default_name
from sempre.core.transitions.model import Proposal
from sempre.schemas.base import ActionModel, DateTime, WireModel

__all__ = ["State", "StateCreate", "StateDetails", "StateType"]


class StateDetails(WireModel):
    """What a state carries beside its type; every key is present when read."""

    flow_run_id: UUID | None = None
    task_run_id: UUID | None = None
    child_flow_run_id: UUID | None = None
    scheduled_time: DateTime | None = None
    cache_key: str | None = None
    cache_expiration: DateTime | None = None
    deferred: bool | None = False
    untrackable_result: bool = False
    pause_timeout: DateTime | None = None
    pause_reschedule: bool = False
    pause_key: str | None = None
    run_input_keyset: dict[str, str] | None = None
    refresh_cache: bool | None = None
    retriable: bool | None = None
    transition_id: UUID | None = None
    task_parameters_id: UUID | None = None
    traceparent: str | None = None
    deployment_concurrency_lease_id: UUID | None = None

    def to_core(self, scheduled_time: datetime | None = None) -> CoreDetails:
        """The same details for the rules; ``scheduled_time`` fills in when none is set."""
        values = self.__dict__
        sent = {name: values[name] for name in self.model_fields_set}
        if scheduled_time is not None and sent.get("scheduled_time") is None:
            sent["scheduled_time"] = scheduled_time
        return CoreDetails(**sent)


class StateCreate(ActionModel):
    """A proposed state. It has no id and no time of its own: the server gives both."""

    type: StateType
    name: str | None = None
    message: str | None = None
    data: Any | None = None
    state_details: StateDetails = Field(default_factory=StateDetails)

    def to_proposal(self, now: datetime) -> Proposal:
        """For the rules: with a name, and a scheduled state with a time (``now`` unless it says another)."""
        name = self.name
        return Proposal(
            type=self.type,
            name=default_name(self.type) if name is None else name,
            message=self.message,
            data=self.data,
            details=self.state_details.to_core(now if self.type is StateType.SCHEDULED else None),
        )


class State(StateChecks, WireModel):
    """A state that was written. Clients ask it `is_completed()` and the like."""

    id: UUID
    type: StateType
    name: str | None = None
    timestamp: DateTime
    message: str | None = None
    data: Any | None = None
    state_details: StateDetails = Field(default_factory=StateDetails)

    @classmethod
    def from_core(cls, state: CoreState) -> "State":
        details = state.details
        return cls.model_construct(
            id=state.id,
            type=state.type,
            name=state.name,
            timestamp=state.timestamp,
            message=state.message,
            data=state.data,
            state_details=StateDetails.model_construct(
                **{name: getattr(details, name) for name in StateDetails.model_fields}
            ),
        )
