"""Deployments and work queues become READY when something polls for their runs.

Polls are many and say the same over and over, so what was polled is collected in the process and written at most once
a second. Losing a second of it in a crash is nothing: the next poll says it again.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from sempre.db.errors import DatabaseUnavailable
from sempre.db.pool import Executor, Record
from sempre.server.deployments import queries
from sempre.server.deployments.events import deployment_event
from sempre.server.events.emit import ServerEvent, emit
from sempre.server.scope import Scope
from sempre.server.work_pools.events import queue_status

__all__ = ["Readiness"]

log = logging.getLogger("sempre.server.deployments")

_FLUSH_SECONDS = 1.0

# Rows are locked in the order of their ids. One that is being marked NOT_READY is waited for: the poll is the news.
_MARK_QUEUES = """
WITH polled AS MATERIALIZED (
    SELECT id, status FROM work_queue WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE
), marked AS (
    UPDATE work_queue q SET
        last_polled = clock_timestamp(), status = CASE q.status WHEN 'PAUSED' THEN q.status ELSE 'READY' END
    FROM polled WHERE q.id = polled.id
    RETURNING q.id, q.workspace_id, q.name, q.status, q.work_pool_id, polled.status AS was
)
SELECT m.*, p.name AS pool_name, p.type AS pool_type
FROM marked m JOIN work_pool p ON p.id = m.work_pool_id
WHERE m.status <> m.was ORDER BY m.id
"""

_MARK_DEPLOYMENTS = """
WITH polled AS MATERIALIZED (
    SELECT d.id, d.status FROM deployment d
    WHERE d.id = ANY(ARRAY(
        SELECT of_queue.id FROM deployment of_queue WHERE of_queue.work_queue_id = ANY($1)
        UNION
        SELECT own.id FROM unnest($2::uuid[], $3::uuid[]) AS named(workspace_id, id)
            JOIN deployment own ON own.id = named.id AND own.workspace_id = named.workspace_id
    )) AND (d.status <> 'READY' OR d.last_polled IS NULL OR d.last_polled < clock_timestamp() - $4::interval)
    ORDER BY d.id FOR NO KEY UPDATE
), marked AS (
    UPDATE deployment d SET last_polled = clock_timestamp(), status = 'READY'
    FROM polled WHERE d.id = polled.id
    RETURNING d.id, d.workspace_id, polled.status AS was
)
SELECT id, workspace_id FROM marked WHERE was <> 'READY' ORDER BY workspace_id, id
"""


class Readiness:
    """``mark_*`` note what was polled; a task started by ``start`` writes it."""

    def __init__(self, scope: Scope) -> None:
        self._db = scope.db
        self._doorbell = scope.doorbell
        # A queue may hold thousands of deployments: their rows are written only as often as the foreman needs it.
        timeout = scope.settings.services.foreman.deployment_last_polled_timeout_seconds
        self._refresh = timedelta(seconds=timeout / 6)
        self._queues: set[UUID] = set()
        self._deployments: set[tuple[UUID, UUID]] = set()
        self._marked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def mark_deployments(self, workspace_id: UUID, ids: Iterable[UUID]) -> None:
        """The deployments were polled for. Ids come as clients sent them; those of other workspaces have no effect."""
        self._deployments.update((workspace_id, id) for id in ids)
        self._marked.set()

    def mark_queues(self, ids: Iterable[UUID]) -> None:
        """The work queues were polled, and with them the deployments in them. Ids are the caller's own finding."""
        self._queues.update(ids)
        self._marked.set()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="readiness")

    async def stop(self) -> None:
        """End, with what was marked so far written if the database is there."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        with contextlib.suppress(DatabaseUnavailable):
            await self.flush()

    async def flush(self) -> None:
        """Write what is marked now. What could not be written stays marked."""
        queues, self._queues = self._queues, set()
        deployments, self._deployments = self._deployments, set()
        try:
            if queues:
                await self._write_queues(queues)
            if queues or deployments:
                await self._write_deployments(queues, deployments)
        except BaseException:
            self._queues |= queues
            self._deployments |= deployments
            self._marked.set()
            raise

    async def _run(self) -> None:
        while True:
            await self._marked.wait()
            self._marked.clear()
            try:
                await self.flush()
            except DatabaseUnavailable as error:
                log.debug("polls are noted later: %s", error)
            except Exception:
                log.exception("polls could not be noted")
            await asyncio.sleep(_FLUSH_SECONDS)

    async def _write_queues(self, ids: set[UUID]) -> None:
        async with self._db.transaction() as transaction:
            changed = await transaction.fetch(_MARK_QUEUES, list(ids))
            events: dict[UUID, list[ServerEvent]] = {}
            for queue in changed:
                pool = {"id": queue["work_pool_id"], "name": queue["pool_name"], "type": queue["pool_type"]}
                events.setdefault(queue["workspace_id"], []).append(queue_status(queue, pool))
            for workspace_id, made in events.items():
                await emit(transaction, workspace_id, *made)
        if changed:
            self._doorbell.ring("events")

    async def _write_deployments(self, queues: set[UUID], deployments: set[tuple[UUID, UUID]]) -> None:
        pairs = list(deployments)
        async with self._db.transaction() as transaction:
            ready = await transaction.fetch(
                _MARK_DEPLOYMENTS,
                list(queues),
                [workspace_id for workspace_id, _ in pairs],
                [id for _, id in pairs],
                self._refresh,
            )
            await _announce(transaction, ready)
        if ready:
            self._doorbell.ring("events")


async def _announce(transaction: Executor, ready: list[Record]) -> None:
    by_workspace: dict[UUID, list[UUID]] = {}
    for row in ready:
        by_workspace.setdefault(row["workspace_id"], []).append(row["id"])
    for workspace_id, ids in by_workspace.items():
        rows = await queries.find_many(transaction, workspace_id, ids)
        await emit(transaction, workspace_id, *(deployment_event("ready", row) for row in rows))
