"""Flows."""

from pydantic import Field

from sempre.schemas.base import ActionModel, Labels, Name, Record

__all__ = ["Flow", "FlowCreate", "FlowUpdate"]


class FlowCreate(ActionModel):
    """Get or create a flow by name."""

    name: Name
    tags: list[str] = Field(default_factory=list)
    labels: Labels | None = Field(default_factory=dict)


class FlowUpdate(ActionModel):
    tags: list[str] = Field(default_factory=list)


class Flow(Record):
    name: Name
    tags: list[str] = Field(default_factory=list)
    labels: Labels | None = Field(default_factory=dict)
