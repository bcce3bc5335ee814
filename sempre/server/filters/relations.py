"""Filters on related objects: each is an EXISTS, and the presence of its key already demands that one exists.

``Filters`` is the set of keys the list calls share (``flows``, ``flow_runs``, ...); ``on_flows(filters)`` and its
siblings turn them into the conditions of one table's list.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import FromClause, and_, select

from sempre.db import tables
from sempre.schemas.filters.deployments import DeploymentFilter
from sempre.schemas.filters.flow_runs import FlowRunFilter
from sempre.schemas.filters.flows import FlowFilter
from sempre.schemas.filters.task_runs import TaskRunFilter
from sempre.schemas.filters.work_pools import WorkPoolFilter, WorkQueueFilter
from sempre.server.filters import resources
from sempre.server.filters.conditions import Condition

__all__ = ["Filters", "on_deployments", "on_flow_runs", "on_flows", "on_task_runs"]


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters of one list call; ``None`` = the key was not sent."""

    flows: FlowFilter | None = None
    flow_runs: FlowRunFilter | None = None
    task_runs: TaskRunFilter | None = None
    deployments: DeploymentFilter | None = None
    work_pools: WorkPoolFilter | None = None
    work_pool_queues: WorkQueueFilter | None = None


def on_flows(filters: Filters, workspace_id: UUID) -> Condition:
    flow = tables.flow

    def conditions() -> Iterator[Condition]:
        yield flow.c.workspace_id == workspace_id
        if filters.flows is not None:
            yield resources.flows(filters.flows)
        if filters.deployments is not None or filters.work_pools is not None:
            deployment = tables.deployment.alias()
            where = [deployment.c.flow_id == flow.c.id, *_on_deployment_row(filters, deployment)]
            yield select(deployment.c.id).where(*where).correlate(flow).exists()
        if filters.flow_runs is not None or filters.task_runs is not None:
            yield _has_run(filters, flow, tables.flow_run.alias(), "flow_id")

    return and_(*conditions())


def on_flow_runs(filters: Filters, workspace_id: UUID) -> Condition:
    run = tables.flow_run

    def conditions() -> Iterator[Condition]:
        yield run.c.workspace_id == workspace_id
        if filters.flow_runs is not None:
            yield resources.flow_runs(filters.flow_runs)
        if filters.flows is not None:
            flow = tables.flow.alias()
            where = [flow.c.id == run.c.flow_id, resources.flows(filters.flows, flow)]
            yield select(flow.c.id).where(*where).correlate(run).exists()
        if filters.task_runs is not None:
            yield _has_task_run(filters.task_runs, run)
        if filters.deployments is not None:
            deployment = tables.deployment.alias()
            where = [deployment.c.id == run.c.deployment_id, resources.deployments(filters.deployments, deployment)]
            yield select(deployment.c.id).where(*where).correlate(run).exists()
        if filters.work_pools is not None or filters.work_pool_queues is not None:
            yield _in_queue(filters, run)

    return and_(*conditions())


def on_task_runs(filters: Filters, workspace_id: UUID) -> Condition:
    task = tables.task_run

    def conditions() -> Iterator[Condition]:
        yield task.c.workspace_id == workspace_id
        if filters.task_runs is not None:
            yield resources.task_runs(filters.task_runs)
        if filters.flow_runs is not None or filters.flows is not None or filters.deployments is not None:
            run = tables.flow_run.alias()
            where: list[Condition] = [run.c.id == task.c.flow_run_id]
            if filters.flow_runs is not None:
                where.append(resources.flow_runs(filters.flow_runs, run))
            if filters.flows is not None:
                flow = tables.flow.alias()
                of_run = [flow.c.id == run.c.flow_id, resources.flows(filters.flows, flow)]
                where.append(select(flow.c.id).where(*of_run).correlate(run).exists())
            if filters.deployments is not None:
                deployment = tables.deployment.alias()
                of_run = [
                    deployment.c.id == run.c.deployment_id,
                    resources.deployments(filters.deployments, deployment),
                ]
                where.append(select(deployment.c.id).where(*of_run).correlate(run).exists())
            yield select(run.c.id).where(*where).correlate(task).exists()

    return and_(*conditions())


def on_deployments(filters: Filters, workspace_id: UUID) -> Condition:
    deployment = tables.deployment

    def conditions() -> Iterator[Condition]:
        yield deployment.c.workspace_id == workspace_id
        yield from _on_deployment_row(filters, deployment)
        if filters.flows is not None:
            flow = tables.flow.alias()
            where = [flow.c.id == deployment.c.flow_id, resources.flows(filters.flows, flow)]
            yield select(flow.c.id).where(*where).correlate(deployment).exists()
        if filters.flow_runs is not None or filters.task_runs is not None:
            yield _has_run(filters, deployment, tables.flow_run.alias(), "deployment_id")

    return and_(*conditions())


def _on_deployment_row(filters: Filters, deployment: FromClause) -> Iterator[Condition]:
    if filters.deployments is not None:
        yield resources.deployments(filters.deployments, deployment)
    if filters.work_pools is not None or filters.work_pool_queues is not None:
        yield _in_queue(filters, deployment)


def _in_queue(filters: Filters, table: FromClause) -> Condition:
    queue = tables.work_queue.alias()
    where: list[Condition] = [queue.c.id == table.c.work_queue_id]
    if filters.work_pool_queues is not None:
        where.append(resources.work_queues(filters.work_pool_queues, queue))
    if filters.work_pools is not None:
        pool = tables.work_pool.alias()
        of_queue: list[Any] = [pool.c.id == queue.c.work_pool_id, resources.work_pools(filters.work_pools, pool)]
        where.append(select(pool.c.id).where(*of_queue).correlate(queue).exists())
    return select(queue.c.id).where(*where).correlate(table).exists()


def _has_run(filters: Filters, table: FromClause, run: FromClause, key: str) -> Condition:
    where: list[Condition] = [run.c[key] == table.c.id]
    if filters.flow_runs is not None:
        where.append(resources.flow_runs(filters.flow_runs, run))
    if filters.task_runs is not None:
        where.append(_has_task_run(filters.task_runs, run))
    return select(run.c.id).where(*where).correlate(table).exists()


def _has_task_run(filter: TaskRunFilter, run: FromClause) -> Condition:
    task = tables.task_run.alias()
    where = [task.c.flow_run_id == run.c.id, resources.task_runs(filter, task)]
    return select(task.c.id).where(*where).correlate(run).exists()
