"""Filters on deployments."""

from uuid import UUID

from pydantic import Field

from sempre.schemas.base import DEPRECATED, FilterModel
from sempre.schemas.filters.common import AnyOf, AnyOrNot, Combined, Like, NameMatch, TagsAny

__all__ = [
    "DeploymentFilter",
    "DeploymentFilterConcurrencyLimit",
    "DeploymentFilterId",
    "DeploymentFilterName",
    "DeploymentFilterPaused",
    "DeploymentFilterTags",
    "DeploymentFilterWorkQueueName",
    "DeploymentOrFlowNameFilter",
]


class DeploymentFilterId(AnyOrNot[UUID]):
    pass


class DeploymentFilterName(NameMatch):
    pass


class DeploymentOrFlowNameFilter(Like):
    """Matches the name of the deployment or of its flow."""


class DeploymentFilterPaused(FilterModel):
    eq_: bool | None = None


class DeploymentFilterTags(TagsAny):
    pass


class DeploymentFilterWorkQueueName(AnyOf[str]):
    pass


class DeploymentFilterConcurrencyLimit(FilterModel):
    """Accepted from older clients; says nothing."""

    ge_: int | None = None
    le_: int | None = None
    is_null_: bool | None = None


class DeploymentFilter(Combined):
    id: DeploymentFilterId | None = None
    name: DeploymentFilterName | None = None
    flow_or_deployment_name: DeploymentOrFlowNameFilter | None = None
    paused: DeploymentFilterPaused | None = None
    tags: DeploymentFilterTags | None = None
    work_queue_name: DeploymentFilterWorkQueueName | None = None
    concurrency_limit: DeploymentFilterConcurrencyLimit | None = Field(default=None, json_schema_extra=DEPRECATED)
