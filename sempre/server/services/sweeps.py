"""What the services share that move runs: look for candidates page by page, then move each by the usual rules.

A candidate carries the state it was seen in, and is moved from that state only. So any number of replicas may sweep at
once: the first write wins, and the others find that the run has moved on.
"""

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from sempre.db.errors import DatabaseUnavailable
from sempre.db.pool import Record
from sempre.server.errors import ObjectNotFound
from sempre.server.scope import Scope

__all__ = ["PAGE", "sweep"]

log = logging.getLogger("sempre.services")

PAGE = 200
_AT_ONCE = 8
_MOST_PAGES = 500  # what is left waits for the next round

Move = Callable[[Scope, Record], Awaitable[object]]


async def sweep(scope: Scope, query: str, move: Move, *arguments: Any) -> int:
    """Move every run that ``query`` finds, and say how many were looked at.

    ``query`` takes the last ``id`` of the page before as ``$1`` (null at first) and the page size as ``$2``, then
    ``arguments``; it gives rows with ``id`` (ascending), ``workspace_id`` and what ``move`` needs. One run that cannot
    be moved is logged and does not keep the others.
    """
    last = None
    seen = 0
    for _ in range(_MOST_PAGES):
        rows = await scope.db.fetch(query, last, PAGE, *arguments)
        await _move_all(scope, rows, move)
        seen += len(rows)
        if len(rows) < PAGE:
            break
        last = rows[-1]["id"]
    return seen


async def _move_all(scope: Scope, rows: list[Record], move: Move) -> None:
    free = asyncio.Semaphore(_AT_ONCE)

    async def one(row: Record) -> None:
        async with free:
            try:
                await move(dataclasses.replace(scope, workspace_id=row["workspace_id"]), row)
            except ObjectNotFound:
                pass  # deleted meanwhile
            except DatabaseUnavailable:
                raise
            except Exception:
                log.exception("run %s could not be moved", row["id"])

    try:
        async with asyncio.TaskGroup() as group:
            for row in rows:
                group.create_task(one(row))
    except ExceptionGroup as away:
        raise away.exceptions[0] from None  # only the database's absence gets here
