"""What each filter of the run family says about its own table.

Each function takes the filter and the table (or an alias of it) and returns one condition. Relations between tables
are in :mod:`sempre.server.filters.relations`.
"""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import FromClause, and_, func, or_, select, true

from sempre.db import tables
from sempre.schemas.filters.deployments import DeploymentFilter
from sempre.schemas.filters.flow_runs import FlowRunFilter
from sempre.schemas.filters.flows import FlowFilter
from sempre.schemas.filters.task_runs import TaskRunFilter
from sempre.schemas.filters.work_pools import WorkerFilter, WorkPoolFilter, WorkQueueFilter
from sempre.server.filters.conditions import (
    Condition,
    among,
    before_after,
    combined,
    is_null,
    is_so,
    like,
    member,
    not_among,
    starts_with,
    tags,
)

__all__ = ["deployments", "flow_runs", "flows", "task_runs", "work_pools", "work_queues", "workers"]


def flows(filter: FlowFilter, table: FromClause = tables.flow) -> Condition:
    c = table.c

    def conditions() -> Iterator[Condition]:
        if filter.id:
            yield member(among(c.id, filter.id.any_), not_among(c.id, filter.id.not_any_))
        if filter.name:
            yield member(among(c.name, filter.name.any_), like(c.name, filter.name.like_))
        if filter.tags:
            yield tags(c.tags, filter.tags)
        if filter.deployment:
            own = tables.deployment.alias()
            has = select(own.c.id).where(own.c.flow_id == c.id).correlate(table).exists()
            yield is_so(has, None if filter.deployment.is_null_ is None else not filter.deployment.is_null_)

    return combined(filter.operator, conditions())


def flow_runs(filter: FlowRunFilter, table: FromClause = tables.flow_run) -> Condition:
    return combined(filter.operator, _flow_run_conditions(filter, table))


def _flow_run_conditions(filter: FlowRunFilter, table: FromClause) -> Iterator[Condition]:
    c = table.c
    for name, column in (("id", c.id), ("idempotency_key", c.idempotency_key)):
        if asked := getattr(filter, name):
            yield member(among(column, asked.any_), not_among(column, asked.not_any_))
    if filter.name:
        yield member(among(c.name, filter.name.any_), like(c.name, filter.name.like_))
    if filter.tags:
        yield tags(c.tags, filter.tags)
    for name in ("deployment_id", "work_queue_name", "parent_task_run_id"):
        if asked := getattr(filter, name):
            yield combined(asked.operator, (*among(c[name], asked.any_), *is_null(c[name], asked.is_null_)))
    if filter.state:
        yield combined(filter.state.operator, _state_conditions(filter.state, c))
    if filter.flow_version:
        yield member(among(c.flow_version, filter.flow_version.any_))
    if filter.start_time:
        yield member(
            before_after(func.coalesce(c.start_time, c.expected_start_time), filter.start_time),
            is_null(c.start_time, filter.start_time.is_null_),
        )
    if filter.end_time:
        yield member(before_after(c.end_time, filter.end_time), is_null(c.end_time, filter.end_time.is_null_))
    for name in ("expected_start_time", "next_scheduled_start_time"):
        if asked := getattr(filter, name):
            yield member(before_after(c[name], asked))
    if filter.parent_flow_run_id and filter.parent_flow_run_id.any_ is None:
        yield true()
    elif filter.parent_flow_run_id:
        parent = tables.task_run.alias()
        belongs = and_(parent.c.id == c.parent_task_run_id, parent.c.workspace_id == c.workspace_id)
        wanted = tuple(among(parent.c.flow_run_id, filter.parent_flow_run_id.any_))
        yield select(parent.c.id).where(belongs, *wanted).correlate(table).exists()
    if filter.created_by:
        yield combined(filter.created_by.operator, _created_by_conditions(filter.created_by, c))


def _state_conditions(state: Any, c: Any) -> Iterator[Condition]:
    for asked in (state.type, state.name):
        if asked is None:
            continue
        column = c.state_type if asked is state.type else c.state_name
        # Both operators of one member hold together; only the members are joined by the operator.
        yield and_(true(), *among(column, asked.any_), *not_among(column, getattr(asked, "not_any_", None)))


def _created_by_conditions(created_by: Any, c: Any) -> Iterator[Condition]:
    if created_by.id_ is not None:
        yield from among(c.created_by["id"].astext, [str(id) for id in created_by.id_])
    if created_by.type_ is not None:
        yield from among(c.created_by["type"].astext, created_by.type_)
    yield from is_null(c.created_by, created_by.is_null_)


def task_runs(filter: TaskRunFilter, table: FromClause = tables.task_run) -> Condition:
    return combined(filter.operator, _task_run_conditions(filter, table))


def _task_run_conditions(filter: TaskRunFilter, table: FromClause) -> Iterator[Condition]:
    c = table.c
    if filter.id:
        yield member(among(c.id, filter.id.any_))
    if filter.name:
        yield member(among(c.name, filter.name.any_), like(c.name, filter.name.like_))
    if filter.tags:
        yield tags(c.tags, filter.tags)
    if filter.state:
        yield combined(filter.state.operator, _state_conditions(filter.state, c))
    for name in ("start_time", "end_time"):
        if asked := getattr(filter, name):
            yield member(before_after(c[name], asked), is_null(c[name], asked.is_null_))
    if filter.expected_start_time:
        yield member(before_after(c.expected_start_time, filter.expected_start_time))
    if filter.subflow_runs:
        subflow = tables.flow_run.alias()
        has = select(subflow.c.id).where(subflow.c.parent_task_run_id == c.id).correlate(table).exists()
        yield is_so(has, filter.subflow_runs.exists_)
    if filter.flow_run_id:
        asked = filter.flow_run_id
        if asked.any_ is not None:
            yield member(among(c.flow_run_id, asked.any_))
        else:
            yield member(is_null(c.flow_run_id, asked.is_null_))


def deployments(filter: DeploymentFilter, table: FromClause = tables.deployment) -> Condition:
    c = table.c

    def conditions() -> Iterator[Condition]:
        if filter.id:
            yield member(among(c.id, filter.id.any_), not_among(c.id, filter.id.not_any_))
        if filter.name:
            yield member(among(c.name, filter.name.any_), like(c.name, filter.name.like_))
        if filter.flow_or_deployment_name:
            text = filter.flow_or_deployment_name.like_
            flow = tables.flow.alias()
            flow_matches = select(flow.c.id).where(flow.c.id == c.flow_id, *like(flow.c.name, text)).correlate(table)
            yield or_(*like(c.name, text), flow_matches.exists()) if text else true()
        if filter.paused:
            yield is_so(c.paused, filter.paused.eq_)
        if filter.tags:
            yield tags(c.tags, filter.tags)
        if filter.work_queue_name:
            yield member(among(c.work_queue_name, filter.work_queue_name.any_))

    return combined(filter.operator, conditions())


def work_pools(filter: WorkPoolFilter, table: FromClause = tables.work_pool) -> Condition:
    return combined(
        filter.operator,
        (member(among(table.c[name], asked.any_)) for name, asked in filter.members()),
    )


def work_queues(filter: WorkQueueFilter, table: FromClause = tables.work_queue) -> Condition:
    c = table.c

    def conditions() -> Iterator[Condition]:
        if filter.id:
            yield member(among(c.id, filter.id.any_))
        if filter.name:
            yield member(among(c.name, filter.name.any_), starts_with(c.name, filter.name.startswith_))

    return combined(filter.operator, conditions())


def workers(filter: WorkerFilter, table: FromClause = tables.worker) -> Condition:
    c = table.c

    def conditions() -> Iterator[Condition]:
        if filter.last_heartbeat_time:
            yield member(before_after(c.last_heartbeat_time, filter.last_heartbeat_time))
        if filter.status:
            yield member(among(c.status, filter.status.any_), not_among(c.status, filter.status.not_any_))

    return combined(filter.operator, conditions())
