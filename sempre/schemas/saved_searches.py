"""Saved searches of the UI."""

from typing import Any

from pydantic import Field

from sempre.schemas.base import ActionModel, Record, WireModel

__all__ = ["SavedSearch", "SavedSearchCreate", "SavedSearchFilter"]


class SavedSearchFilter(WireModel):
    """One line of a saved search; the server keeps it and does not interpret it."""

    object: str
    property: str
    type: str
    operation: str
    value: Any


class SavedSearchCreate(ActionModel):
    name: str
    filters: list[SavedSearchFilter] = Field(default_factory=list)


class SavedSearch(Record):
    name: str
    filters: list[SavedSearchFilter] = Field(default_factory=list)
