"""Filters on variables."""

from uuid import UUID

from sempre.schemas.filters.common import AnyOf, Combined, NameMatch, TagsAll

__all__ = ["VariableFilter", "VariableFilterId", "VariableFilterName", "VariableFilterTags"]


class VariableFilterId(AnyOf[UUID]):
    pass


class VariableFilterName(NameMatch):
    pass


class VariableFilterTags(TagsAll):
    pass


class VariableFilter(Combined):
    id: VariableFilterId | None = None
    name: VariableFilterName | None = None
    tags: VariableFilterTags | None = None
