"""Filters on artifacts and artifact collections."""

from uuid import UUID

from sempre.schemas.filters.common import AnyOf, AnyOrNot, Combined, KeyMatch

__all__ = [
    "ArtifactCollectionFilter",
    "ArtifactCollectionFilterFlowRunId",
    "ArtifactCollectionFilterKey",
    "ArtifactCollectionFilterLatestId",
    "ArtifactCollectionFilterTaskRunId",
    "ArtifactCollectionFilterType",
    "ArtifactFilter",
    "ArtifactFilterFlowRunId",
    "ArtifactFilterId",
    "ArtifactFilterKey",
    "ArtifactFilterTaskRunId",
    "ArtifactFilterType",
]


class ArtifactFilterId(AnyOf[UUID]):
    pass


class ArtifactFilterKey(KeyMatch):
    pass


class ArtifactFilterFlowRunId(AnyOf[UUID]):
    pass


class ArtifactFilterTaskRunId(AnyOf[UUID]):
    pass


class ArtifactFilterType(AnyOrNot[str]):
    pass


class ArtifactFilter(Combined):
    id: ArtifactFilterId | None = None
    key: ArtifactFilterKey | None = None
    flow_run_id: ArtifactFilterFlowRunId | None = None
    task_run_id: ArtifactFilterTaskRunId | None = None
    type: ArtifactFilterType | None = None


class ArtifactCollectionFilterLatestId(AnyOf[UUID]):
    pass


class ArtifactCollectionFilterKey(KeyMatch):
    pass


class ArtifactCollectionFilterFlowRunId(AnyOf[UUID]):
    pass


class ArtifactCollectionFilterTaskRunId(AnyOf[UUID]):
    pass


class ArtifactCollectionFilterType(AnyOrNot[str]):
    pass


class ArtifactCollectionFilter(Combined):
    latest_id: ArtifactCollectionFilterLatestId | None = None
    key: ArtifactCollectionFilterKey | None = None
    flow_run_id: ArtifactCollectionFilterFlowRunId | None = None
    task_run_id: ArtifactCollectionFilterTaskRunId | None = None
    type: ArtifactCollectionFilterType | None = None
