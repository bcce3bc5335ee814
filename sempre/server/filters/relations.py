"""Which rows a list call asks for: a resource's own filter, and those on what it is related to.

A filter on another resource demands that a related row is there, be the filter as empty as ``{}``; filters that lie on
one way are met by the same row: one run of a flow satisfies ``flow_runs`` and owns a task run that satisfies
``task_runs``. The families below are the ways of the protocol.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import FromClause, and_, select

from sempre.schemas.base import FilterModel
from sempre.schemas.filters.common import Operator
from sempre.schemas.lists import ListCall
from sempre.server.filters import resources
from sempre.server.filters.conditions import Condition, given
from sempre.server.filters.resources import Resource

__all__ = [
    "ARTIFACTS",
    "ARTIFACT_COLLECTIONS",
    "AUTOMATIONS",
    "BLOCK_DOCUMENTS",
    "BLOCK_SCHEMAS",
    "BLOCK_TYPES",
    "DEPLOYMENTS",
    "FLOWS",
    "FLOW_RUNS",
    "LOGS",
    "TASK_RUNS",
    "VARIABLES",
    "WORKERS",
    "WORK_POOLS",
    "WORK_QUEUES",
    "Family",
    "matching",
]


@dataclass(frozen=True, slots=True)
class Related:
    """The rows of ``resource`` whose ``key`` is what ``of`` is in the row they are related to.

    ``sure``: a column that is not null where such a row is there. ``known``: relations that are met by then, and are
    only repeated for Postgres to start from fewer of these rows.
    """

    resource: Resource
    key: str
    of: str
    further: tuple["Related", ...] = ()
    sure: str | None = None
    known: tuple["Related", ...] = ()


@dataclass(frozen=True, slots=True)
class Family:
    """A resource that can be listed, and everything by which."""

    resource: Resource
    related: tuple[Related, ...] = ()


_FLOW = Related(resources.FLOW, "id", "flow_id")
_DEPLOYMENT = Related(resources.DEPLOYMENT, "id", "deployment_id")
_QUEUE = Related(resources.WORK_QUEUE, "id", "work_queue_id", (Related(resources.WORK_POOL, "id", "work_pool_id"),))
_TASK_RUNS = Related(resources.TASK_RUN, "flow_run_id", "id")

FLOWS = Family(
    resources.FLOW,
    (
        Related(resources.DEPLOYMENT, "flow_id", "id", (_QUEUE,)),
        Related(resources.FLOW_RUN, "flow_id", "id", (_TASK_RUNS,)),
    ),
)
FLOW_RUNS = Family(resources.FLOW_RUN, (_FLOW, _TASK_RUNS, _DEPLOYMENT, _QUEUE))
# The flow is the flow run's own (the database sees to it): to ask for it takes no way through the flow runs.
TASK_RUNS = Family(
    resources.TASK_RUN,
    (_FLOW, Related(resources.FLOW_RUN, "id", "flow_run_id", (_DEPLOYMENT, _QUEUE), sure="flow_id", known=(_FLOW,))),
)
DEPLOYMENTS = Family(
    resources.DEPLOYMENT,
    (_QUEUE, _FLOW, Related(resources.FLOW_RUN, "deployment_id", "id", (_TASK_RUNS,))),
)

_LEFT_BY_RUNS = (
    Related(resources.FLOW_RUN, "id", "flow_run_id", (_FLOW, _DEPLOYMENT)),
    Related(resources.TASK_RUN, "id", "task_run_id"),
)
ARTIFACTS = Family(resources.ARTIFACT, _LEFT_BY_RUNS)
ARTIFACT_COLLECTIONS = Family(resources.ARTIFACT_COLLECTION, _LEFT_BY_RUNS)

BLOCK_TYPES = Family(resources.BLOCK_TYPE, (Related(resources.BLOCK_SCHEMA, "block_type_id", "id"),))
BLOCK_SCHEMAS = Family(resources.BLOCK_SCHEMA)
BLOCK_DOCUMENTS = Family(
    resources.BLOCK_DOCUMENT,
    (
        Related(resources.BLOCK_TYPE, "id", "block_type_id"),
        Related(resources.BLOCK_SCHEMA, "id", "block_schema_id"),
    ),
)

AUTOMATIONS = Family(resources.AUTOMATION)
LOGS = Family(resources.LOG)
VARIABLES = Family(resources.VARIABLE)
WORKERS = Family(resources.WORKER)
WORK_POOLS = Family(resources.WORK_POOL)
WORK_QUEUES = Family(resources.WORK_QUEUE)


def matching(family: Family, asked: ListCall, workspace_id: UUID) -> Condition:
    """On rows of the family's table. Every row that has a part in it is the workspace's own."""

    def conditions() -> Iterator[Condition]:
        table = family.resource.table
        yield table.c.workspace_id == workspace_id
        own = _filter(asked, family.resource)
        if own is not None:
            yield resources.condition(family.resource, own, table)
        for related in family.related:
            yield from _exists(related, table, asked, workspace_id)

    return and_(*conditions())


def _exists(related: Related, parent: FromClause, asked: ListCall, workspace_id: UUID) -> Iterator[Condition]:
    """That a related row is there which meets its filter and has what is asked of further relations."""
    row: Any = related.resource.table.alias()
    filter = _filter(asked, related.resource)
    own = [] if filter is None else [resources.condition(related.resource, filter, row)]
    further = [condition for each in related.further for condition in _exists(each, row, asked, workspace_id)]
    if filter is None and not further:
        return
    if related.sure and filter is not None and not any(given(filter)) and not further:
        yield parent.c[related.sure].is_not(None)
        return
    further += [condition for each in related.known for condition in _exists(each, row, asked, workspace_id)]
    there = select(row.c.id).where(row.c.workspace_id == workspace_id, *own, *further)
    one = _only_id(filter) if related.key == "id" else None
    if one is None:
        yield there.where(row.c[related.key] == parent.c[related.of]).correlate(parent).exists()
        return
    # Named outright: Postgres knows how much belongs to this one, where it could only guess for "a flow of this id".
    yield parent.c[related.of] == one
    yield there.where(row.c.id == one).correlate(None).exists()


def _only_id(filter: FilterModel | None) -> UUID | None:
    """The one object that can satisfy the filter, if it names one."""
    if getattr(filter, "operator", None) is Operator.or_:
        return None
    named: list[UUID] = getattr(getattr(filter, "id", None), "any_", None) or []
    return named[0] if len(set(named)) == 1 else None


def _filter(asked: ListCall, resource: Resource) -> FilterModel | None:
    """``None``: the call has no such key, or it was not sent."""
    filter: FilterModel | None = getattr(asked, resource.key, None)
    return filter
