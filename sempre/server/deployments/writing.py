"""Writing a deployment: its row, schedules, limit, version and event in one transaction.

What to write was decided on the row as it was read; the row's ``updated`` guards that. The row is written first, so
that its lock stands between everything that follows and a scheduler that would plan runs for what it was before.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sempre.db.pool import Executor, Record
from sempre.server.deployments import limits, queries, schedules
from sempre.server.deployments.events import changes_between, deployment_event
from sempre.server.deployments.references import choose_queue
from sempre.server.deployments.schedule_plan import SchedulePlan
from sempre.server.events.emit import emit
from sempre.server.flow_runs.deletion import delete_scheduled
from sempre.server.orchestration import MAX_ATTEMPTS, gave_up
from sempre.server.scope import Scope

__all__ = ["Change", "settle", "stored_schema"]


def stored_schema(schema: dict[str, Any] | None) -> dict[str, Any] | None:
    """A schema of parameters as it is kept: one that says nothing is spelled out."""
    return {"type": "object", "properties": {}} if schema == {} else schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Everything one request does to a deployment.

    ``concurrency_limit`` counts only where ``sets_limit``: ``None`` ends the deployment's own limit.
    """

    columns: dict[str, Any]
    pool_name: str | None = None
    queue_name: str | None = None
    schedules: SchedulePlan = field(default_factory=SchedulePlan)
    sets_limit: bool = False
    concurrency_limit: int | None = None
    version_info: dict[str, Any] | None = None


class _LostRace(Exception):
    """The deployment is no longer what the change was decided on."""


async def settle(
    scope: Scope, what: object, decide: Callable[[], Awaitable[tuple[Record | None, Change]]]
) -> tuple[Record, bool]:
    """Decide and write until nobody comes between. Returns the deployment as it is then, and whether it is new.

    ``decide`` reads the deployment (``None``: there is none yet) and says what to change.
    """
    for _ in range(MAX_ATTEMPTS):
        before, change = await decide()
        try:
            async with scope.db.transaction() as transaction:
                after = await _write(transaction, scope.workspace_id, before, change)
        except _LostRace:
            continue
        scope.doorbell.ring("events")
        return after, before is None
    raise gave_up("deployment", what)


async def _write(transaction: Executor, workspace_id: UUID, before: Record | None, change: Change) -> Record:
    queue = await choose_queue(transaction, workspace_id, change.pool_name, change.queue_name)
    columns = {**change.columns, **queue}
    if before is None:
        id = await queries.insert(transaction, workspace_id, columns)
    else:
        id = before["id"]
        if not await queries.update(transaction, workspace_id, id, before["updated"], columns):
            id = None
    if id is None or not await schedules.apply_plan(transaction, workspace_id, id, change.schedules):
        raise _LostRace
    await _apply_limit(transaction, workspace_id, id, change)
    if before is not None:
        await delete_scheduled(transaction, workspace_id, [id])
    after = await queries.find(transaction, workspace_id, id)
    assert after is not None  # locked by this transaction
    if change.version_info is not None:
        await queries.record_version(transaction, after, change.version_info)
    if before is None:
        await emit(transaction, workspace_id, deployment_event("created", after))
    elif payload := changes_between(before, after):
        await emit(transaction, workspace_id, deployment_event("updated", after, payload))
    return after


async def _apply_limit(transaction: Executor, workspace_id: UUID, id: UUID, change: Change) -> None:
    linked = change.columns.get("concurrency_limit_id")
    if change.sets_limit and change.concurrency_limit is not None:
        await limits.set_own(transaction, workspace_id, id, change.concurrency_limit)
    elif change.sets_limit or "concurrency_limit_id" in change.columns:
        await limits.delete_own(transaction, workspace_id, [id], keep=linked)
