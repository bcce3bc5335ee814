"""Filters on artifacts and their collections, and on the runs that left them."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import FromClause, Table, and_, select

from sempre.db import tables
from sempre.schemas.filters.artifacts import ArtifactCollectionFilter, ArtifactFilter
from sempre.schemas.filters.deployments import DeploymentFilter
from sempre.schemas.filters.flow_runs import FlowRunFilter
from sempre.schemas.filters.flows import FlowFilter
from sempre.schemas.filters.task_runs import TaskRunFilter
from sempre.server.filters import resources
from sempre.server.filters.conditions import Condition, among, combined, is_null, like, member, not_among

__all__ = ["ArtifactFilters", "condition"]


@dataclass(frozen=True, slots=True)
class ArtifactFilters:
    """The filters of one list call; ``None`` = the key was not sent."""

    artifacts: ArtifactFilter | ArtifactCollectionFilter | None = None
    flow_runs: FlowRunFilter | None = None
    task_runs: TaskRunFilter | None = None
    flows: FlowFilter | None = None
    deployments: DeploymentFilter | None = None


def condition(filters: ArtifactFilters, table: Table, workspace_id: UUID) -> Condition:
    """On rows of ``table``, which is ``artifact`` or ``artifact_collection``."""

    def conditions() -> Iterator[Condition]:
        yield table.c.workspace_id == workspace_id
        if filters.artifacts is not None:
            yield combined(filters.artifacts.operator, _own(filters.artifacts, table))
        if filters.flow_runs is not None or filters.flows is not None or filters.deployments is not None:
            yield _of_flow_run(filters, table)
        if filters.task_runs is not None:
            task = tables.task_run.alias()
            same = (task.c.workspace_id == table.c.workspace_id, task.c.id == table.c.task_run_id)
            yield select(task.c.id).where(*same, resources.task_runs(filters.task_runs, task)).correlate(table).exists()

    return and_(*conditions())


def _own(filter: ArtifactFilter | ArtifactCollectionFilter, table: FromClause) -> Iterator[Condition]:
    c = table.c
    for name, asked in filter.members():
        operators = [among(c[name], asked.any_)]
        if name == "key":
            operators.append(like(c.key, asked.like_))
            operators.append(is_null(c.key, None if asked.exists_ is None else not asked.exists_))
        elif name == "type":
            operators.append(not_among(c.type, asked.not_any_))
        yield member(*operators)


def _of_flow_run(filters: ArtifactFilters, table: Table) -> Condition:
    run = tables.flow_run.alias()
    where: list[Condition] = [run.c.id == table.c.flow_run_id, run.c.workspace_id == table.c.workspace_id]
    if filters.flow_runs is not None:
        where.append(resources.flow_runs(filters.flow_runs, run))
    if filters.flows is not None:
        flow = tables.flow.alias()
        of_run = (flow.c.id == run.c.flow_id, resources.flows(filters.flows, flow))
        where.append(select(flow.c.id).where(*of_run).correlate(run).exists())
    if filters.deployments is not None:
        deployment = tables.deployment.alias()
        of_run = (deployment.c.id == run.c.deployment_id, resources.deployments(filters.deployments, deployment))
        where.append(select(deployment.c.id).where(*of_run).correlate(run).exists())
    return select(run.c.id).where(*where).correlate(table).exists()
