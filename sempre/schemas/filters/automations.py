"""Filters on automations."""

from uuid import UUID

from sempre.schemas.base import DateTime, FilterModel
from sempre.schemas.filters.common import AnyOf, Combined, TagsAny

__all__ = [
    "AutomationFilter",
    "AutomationFilterCreated",
    "AutomationFilterId",
    "AutomationFilterName",
    "AutomationFilterTags",
]


class AutomationFilterId(AnyOf[UUID]):
    pass


class AutomationFilterName(AnyOf[str]):
    pass


class AutomationFilterCreated(FilterModel):
    before_: DateTime | None = None


class AutomationFilterTags(TagsAny):
    pass


class AutomationFilter(Combined):
    id: AutomationFilterId | None = None
    name: AutomationFilterName | None = None
    created: AutomationFilterCreated | None = None
    tags: AutomationFilterTags | None = None
