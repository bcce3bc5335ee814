"""What the templates of an action may speak of, read only as far as they do."""

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from uuid import UUID

from sempre.core.automation_views import EventView, Labels, ObjectView
from sempre.core.inference import involved_in
from sempre.server.actions.filters import ui_of
from sempre.server.actions.invocation import Invocation
from sempre.server.concurrency import queries as limit_queries
from sempre.server.deployments import queries as deployment_queries
from sempre.server.deployments import rows as deployment_rows
from sempre.server.flow_runs import queries as flow_run_queries
from sempre.server.flow_runs import rows as flow_run_rows
from sempre.server.flows import queries as flow_queries
from sempre.server.scope import Scope
from sempre.server.task_runs import queries as task_run_queries
from sempre.server.task_runs import rows as task_run_rows
from sempre.server.work_pools import queries as pool_queries
from sempre.server.work_pools import queue_queries
from sempre.server.work_pools.rows import pool_to_wire, queue_to_wire
from sempre.server.work_queues.health import status_of

__all__ = ["context_of"]

# Most variables that a template may look at.
_MOST_VARIABLES = 1000
# What of an event says in which state its run was.
_STATE = ("type", "name", "message", "timestamp")

Fields = dict[str, Any]


async def context_of(invocation: Invocation, texts: Iterable[str]) -> dict[str, Any]:
    """The names that ``texts`` may use. Objects are looked up only if their name occurs in one of them."""
    ui = ui_of(invocation.scope.settings)
    spoken = " ".join(texts)
    event = invocation.triggering_event
    firing = invocation.firing
    context: dict[str, Any] = {
        "automation": ObjectView("automation", invocation.automation),
        "event": None if event is None else EventView(event, ui),
        "labels": Labels(firing["triggering_labels"]),
        "firing": firing,
        "firings": list(_firings(firing)),
        "events": [EventView(one["triggering_event"], ui) for one in _firings(firing) if one["triggering_event"]],
    }
    if event is not None:
        for name, (kind, read) in _OBJECTS.items():
            if _speaks_of(name, spoken):
                id = involved_in(event, kind)
                fields = None if id is None else await read(invocation.scope, id)
                context[name] = None if fields is None else ObjectView(kind, _as_of(event, kind, fields))
    if _speaks_of("variables", spoken):
        context["variables"] = await _variables(invocation.scope)
    return context


def _speaks_of(name: str, text: str) -> bool:
    return re.search(rf"\b{name}\b", text) is not None


def _firings(firing: Fields) -> Iterable[Fields]:
    """The firing and all that led to it."""
    yield firing
    for child in firing["triggering_firings"]:
        yield from _firings(child)


def _as_of(event: Fields, kind: str, fields: Fields) -> Fields:
    """A run in the state that the event tells of; it may have moved on since."""
    if kind not in ("flow-run", "task-run"):
        return fields
    labels = event["resource"]
    told = {name: labels.get(f"prefect.state-{name}") for name in _STATE}
    if (
        any(value is None for value in told.values())
        or labels.get("prefect.resource.id") != f"prefect.{kind}.{fields['id']}"
    ):
        return fields
    return {**fields, "state": {**(fields.get("state") or {}), **told}}


async def _flow(scope: Scope, id: UUID) -> Fields | None:
    row = await flow_queries.find(scope.db, scope.workspace_id, id)
    return None if row is None else dict(row)


async def _flow_run(scope: Scope, id: UUID) -> Fields | None:
    row = await flow_run_queries.find(scope.db, scope.workspace_id, id)
    return None if row is None else flow_run_rows.to_wire(row)


async def _task_run(scope: Scope, id: UUID) -> Fields | None:
    row = await task_run_queries.find(scope.db, scope.workspace_id, id)
    return None if row is None else task_run_rows.to_wire(row)


async def _deployment(scope: Scope, id: UUID) -> Fields | None:
    row = await deployment_queries.find(scope.db, scope.workspace_id, id)
    return None if row is None else deployment_rows.to_wire(row)


async def _work_pool(scope: Scope, id: UUID) -> Fields | None:
    name = await pool_queries.name_of(scope.db, scope.workspace_id, id)
    row = None if name is None else await pool_queries.find(scope.db, scope.workspace_id, name)
    return None if row is None else pool_to_wire(row, scope.client)


async def _work_queue(scope: Scope, id: UUID) -> Fields | None:
    row = await queue_queries.find_by_id(scope.db, scope.workspace_id, id)
    return None if row is None else {**queue_to_wire(row), **await status_of(scope, row)}


async def _limit(scope: Scope, id: UUID) -> Fields | None:
    row = await limit_queries.find(scope.db, scope.workspace_id, id=id)
    return None if row is None else dict(row)


async def _variables(scope: Scope) -> dict[str, Any]:
    rows = await scope.db.fetch(
        "SELECT name, value FROM variable WHERE workspace_id = $1 ORDER BY name LIMIT $2",
        scope.workspace_id,
        _MOST_VARIABLES,
    )
    return {row["name"]: row["value"] for row in rows}


_OBJECTS: dict[str, tuple[str, Callable[[Scope, UUID], Awaitable[Fields | None]]]] = {
    "deployment": ("deployment", _deployment),
    "flow": ("flow", _flow),
    "flow_run": ("flow-run", _flow_run),
    "task_run": ("task-run", _task_run),
    "work_pool": ("work-pool", _work_pool),
    "work_queue": ("work-queue", _work_queue),
    "concurrency_limit": ("concurrency-limit", _limit),
}
