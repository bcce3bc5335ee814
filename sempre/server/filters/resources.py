"""What each filter says about its own table.

Most members are about the column of their name, and :func:`on_column` knows what to do with them. The others are here,
each a function of the member and the table (or an alias of it). Relations between tables are in
:mod:`sempre.server.filters.relations`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import FromClause, Table, Text, and_, any_, func, literal, or_, select, true

from sempre.db import tables
from sempre.schemas.base import FilterModel
from sempre.schemas.filters.automations import AutomationFilterTags
from sempre.schemas.filters.blocks import BlockSchemaFilterCapabilities
from sempre.schemas.filters.common import Operator
from sempre.schemas.filters.deployments import DeploymentFilterConcurrencyLimit, DeploymentOrFlowNameFilter
from sempre.schemas.filters.flow_runs import (
    FlowRunFilterCreatedBy,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterStartTime,
    FlowRunFilterState,
)
from sempre.schemas.filters.flows import FlowFilterDeployment
from sempre.schemas.filters.logs import LogFilterTextSearch
from sempre.schemas.filters.task_runs import TaskRunFilterFlowRunId, TaskRunFilterState, TaskRunFilterSubFlowRuns
from sempre.server.filters.conditions import (
    Condition,
    Conditions,
    among,
    combined,
    contains_text,
    given,
    is_null,
    is_so,
    like,
    on_column,
    operator,
)

__all__ = [
    "ARTIFACT",
    "ARTIFACT_COLLECTION",
    "AUTOMATION",
    "BLOCK_DOCUMENT",
    "BLOCK_SCHEMA",
    "BLOCK_TYPE",
    "DEPLOYMENT",
    "FLOW",
    "FLOW_RUN",
    "LOG",
    "TASK_RUN",
    "VARIABLE",
    "WORKER",
    "WORK_POOL",
    "WORK_QUEUE",
    "Resource",
    "condition",
]

Member = Callable[[Any, FromClause], Conditions]


@dataclass(frozen=True, slots=True)
class Resource:
    """A table, the key of its filter in a request, and the filter's members that are not about one column."""

    key: str
    table: Table
    special: Mapping[str, Member] = field(default_factory=dict)


def condition(resource: Resource, filter: FilterModel, row: FromClause) -> Condition:
    """What ``filter`` says about ``row``, which is the resource's table or an alias of it."""
    return combined(filter, _members(resource, filter, row))


def _members(resource: Resource, filter: FilterModel, row: FromClause) -> Iterator[Condition]:
    for name, member in given(filter):
        if special := resource.special.get(name):
            yield from special(member, row)
        else:
            yield on_column(row.c[name], member)


# --- flows ---------------------------------------------------------------------------------------------


def _has_no_deployment(member: FlowFilterDeployment, flow: FromClause) -> Conditions:
    if member.is_null_ is None:
        return (true(),)
    deployment = tables.deployment.alias()
    has = select(deployment.c.id).where(deployment.c.flow_id == flow.c.id).correlate(flow).exists()
    return is_so(has, not member.is_null_)


# --- runs ----------------------------------------------------------------------------------------------


def _state(member: FlowRunFilterState | TaskRunFilterState, run: FromClause) -> Conditions:
    yield combined(member, (on_column(run.c[f"state_{name}"], asked) for name, asked in given(member)))


def _start_time(member: FlowRunFilterStartTime, run: FromClause) -> Conditions:
    """A run that has not started stands where it is expected to start, but for ``is_null_``."""
    columns = {"is_null_": run.c.start_time}
    started = func.coalesce(run.c.start_time, run.c.expected_start_time)
    asked = given(member)
    yield combined(
        member, (said for name, value in asked for said in operator(name, columns.get(name, started), value))
    )


def _parent_flow_run(member: FlowRunFilterParentFlowRunId, run: FromClause) -> Conditions:
    if member.any_ is None:
        yield true()
        return
    parent = tables.task_run.alias()
    belongs = and_(parent.c.id == run.c.parent_task_run_id, parent.c.workspace_id == run.c.workspace_id)
    wanted = tuple(among(parent.c.flow_run_id, member.any_))
    yield select(parent.c.id).where(belongs, *wanted).correlate(run).exists()
    # Once more, from the parents: Postgres would else look one up for every subflow that it passes.
    yield run.c.parent_task_run_id == any_(func.array(select(parent.c.id).where(*wanted).scalar_subquery()))


def _created_by(member: FlowRunFilterCreatedBy, run: FromClause) -> Conditions:
    def conditions() -> Iterator[Condition]:
        if member.id_ is not None:
            yield from among(run.c.created_by["id"].astext, [str(id) for id in member.id_])
        if member.type_ is not None:
            yield from among(run.c.created_by["type"].astext, member.type_)
        if member.is_null_ is not None:
            yield from is_null(run.c.created_by, member.is_null_)

    yield combined(member, conditions())


def _stands_for_subflow(member: TaskRunFilterSubFlowRuns, task: FromClause) -> Conditions:
    if member.exists_ is None:
        return (true(),)
    subflow = tables.flow_run.alias()
    belongs = and_(subflow.c.parent_task_run_id == task.c.id, subflow.c.workspace_id == task.c.workspace_id)
    return is_so(select(subflow.c.id).where(belongs).correlate(task).exists(), member.exists_)


def _of_flow_run(member: TaskRunFilterFlowRunId, task: FromClause) -> Conditions:
    if member.any_ is not None and not member.is_null_:
        return among(task.c.flow_run_id, member.any_)
    return (true(),) if member.is_null_ is None else is_null(task.c.flow_run_id, member.is_null_)


# --- deployments ---------------------------------------------------------------------------------------


def _either_name(member: DeploymentOrFlowNameFilter, deployment: FromClause) -> Conditions:
    if not member.like_:
        yield true()
        return
    flow = tables.flow.alias()
    of_flow = and_(flow.c.id == deployment.c.flow_id, *like(flow.c.name, member.like_))
    matches = select(flow.c.id).where(of_flow).correlate(deployment).exists()
    yield or_(*like(deployment.c.name, member.like_), matches)


def _nothing(member: DeploymentFilterConcurrencyLimit, deployment: FromClause) -> Conditions:
    """Accepted from older clients."""
    return ()


# --- the others ----------------------------------------------------------------------------------------


def _capabilities(member: BlockSchemaFilterCapabilities, schema: FromClause) -> Conditions:
    yield on_column(schema.c.capabilities, member)


def _automation_tags(member: AutomationFilterTags, automation: FromClause) -> Conditions:
    """Here an empty ``all_`` does say something: it is true of every automation."""
    if member.all_ == [] and member.operator is Operator.or_:
        yield true()
    else:
        yield on_column(automation.c.tags, member)


def _text(member: LogFilterTextSearch, log: FromClause) -> Conditions:
    line = func.concat(log.c.message, literal(" ", Text), log.c.name)
    yield and_(true(), *contains_text(line, member.query))


FLOW = Resource("flows", tables.flow, {"deployment": _has_no_deployment})
FLOW_RUN = Resource(
    "flow_runs",
    tables.flow_run,
    {
        "state": _state,
        "start_time": _start_time,
        "parent_flow_run_id": _parent_flow_run,
        "created_by": _created_by,
    },
)
TASK_RUN = Resource(
    "task_runs",
    tables.task_run,
    {"state": _state, "subflow_runs": _stands_for_subflow, "flow_run_id": _of_flow_run},
)
DEPLOYMENT = Resource(
    "deployments",
    tables.deployment,
    {"flow_or_deployment_name": _either_name, "concurrency_limit": _nothing},
)
WORK_POOL = Resource("work_pools", tables.work_pool)
WORK_QUEUE = Resource("work_pool_queues", tables.work_queue)
WORKER = Resource("workers", tables.worker)
ARTIFACT = Resource("artifacts", tables.artifact)
ARTIFACT_COLLECTION = Resource("artifacts", tables.artifact_collection)
VARIABLE = Resource("variables", tables.variable)
AUTOMATION = Resource("automations", tables.automation, {"tags": _automation_tags})
BLOCK_TYPE = Resource("block_types", tables.block_type)
BLOCK_SCHEMA = Resource("block_schemas", tables.block_schema, {"block_capabilities": _capabilities})
BLOCK_DOCUMENT = Resource("block_documents", tables.block_document)
LOG = Resource("logs", tables.log, {"text": _text})
