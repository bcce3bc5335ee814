"""Filters on flows."""

from uuid import UUID

from sempre.schemas.filters.common import AnyOrNot, Combined, NameMatch, TagsAll

__all__ = ["FlowFilter", "FlowFilterDeployment", "FlowFilterId", "FlowFilterName", "FlowFilterTags"]


class FlowFilterId(AnyOrNot[UUID]):
    pass


class FlowFilterName(NameMatch):
    pass


class FlowFilterTags(TagsAll):
    pass


class FlowFilterDeployment(Combined):
    """``is_null_``: whether the flow has no deployment."""

    is_null_: bool | None = None


class FlowFilter(Combined):
    id: FlowFilterId | None = None
    name: FlowFilterName | None = None
    tags: FlowFilterTags | None = None
    deployment: FlowFilterDeployment | None = None
