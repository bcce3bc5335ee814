"""Concurrency limits: global ones (v2) and their older tag-based view (v1)."""

from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from sempre.schemas.base import ActionModel, Integer, Name, NonNegativeFloat, NonNegativeInteger, Record, WireModel

__all__ = [
    "ConcurrencyLeaseHolder",
    "ConcurrencyLimit",
    "ConcurrencyLimitConfig",
    "ConcurrencyLimitCreate",
    "ConcurrencyLimitStrategy",
    "ConcurrencyLimitV2",
    "ConcurrencyLimitV2Create",
    "ConcurrencyLimitV2Update",
    "ConcurrencyLimitWithLeaseResponse",
    "ConcurrencyOptions",
    "GlobalConcurrencyLimitResponse",
    "MinimalConcurrencyLimitResponse",
]


class ConcurrencyLimitStrategy(StrEnum):
    """What happens to a run of a deployment whose limit is reached."""

    ENQUEUE = "ENQUEUE"
    CANCEL_NEW = "CANCEL_NEW"


class ConcurrencyOptions(WireModel):
    """How a deployment's limit is applied; the grace period is seconds that a slot is kept for a starting run."""

    collision_strategy: ConcurrencyLimitStrategy
    grace_period_seconds: Annotated[int, Field(ge=60, le=86400)] | None = None


class ConcurrencyLimitConfig(WireModel):
    """A deployment's limit with what it says of runs beyond it, as code and project files write it."""

    limit: Annotated[int, Field(ge=1)]
    collision_strategy: ConcurrencyLimitStrategy | None = None
    grace_period_seconds: Annotated[int, Field(ge=60, le=86400)] | None = None


class ConcurrencyLeaseHolder(ActionModel):
    """Who holds a leased slot."""

    type: Literal["flow_run", "task_run", "deployment"]
    id: UUID


class ConcurrencyLimitCreate(ActionModel):
    tag: str
    concurrency_limit: Integer


class ConcurrencyLimit(Record):
    """A tag limit; ``active_slots`` are the task runs that hold its slots."""

    tag: str
    concurrency_limit: int
    active_slots: list[UUID] = Field(default_factory=list)


class ConcurrencyLimitV2Create(ActionModel):
    active: bool = True
    name: Name
    limit: NonNegativeInteger
    active_slots: NonNegativeInteger = 0
    denied_slots: NonNegativeInteger = 0
    slot_decay_per_second: NonNegativeFloat = 0.0


class ConcurrencyLimitV2Update(ActionModel):
    active: bool | None = None
    name: Name | None = None
    limit: NonNegativeInteger | None = None
    active_slots: NonNegativeInteger | None = None
    denied_slots: NonNegativeInteger | None = None
    slot_decay_per_second: NonNegativeFloat | None = None


class ConcurrencyLimitV2(Record):
    active: bool = True
    name: Name
    limit: int
    active_slots: int = 0
    denied_slots: int = 0
    slot_decay_per_second: float = 0.0
    avg_slot_occupancy_seconds: float = 2.0


class GlobalConcurrencyLimitResponse(Record):
    active: bool = True
    name: str
    limit: int
    active_slots: int
    slot_decay_per_second: float = 2.0


class MinimalConcurrencyLimitResponse(WireModel):
    id: UUID
    name: str
    limit: int


class ConcurrencyLimitWithLeaseResponse(WireModel):
    """Slots that were taken, and the lease that must be renewed to keep them."""

    lease_id: UUID
    limits: list[MinimalConcurrencyLimitResponse]
