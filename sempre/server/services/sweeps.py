"""What the services share that move runs: look for candidates page by page, then move each by the usual rules.

A candidate carries the state it was seen in, and is moved from that state only. So any number of replicas may sweep at
once: the first write wins, and the others find that the run has moved on.
"""

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from sempre.db.errors import DatabaseUnavailable
from sempre.db.pool import Record
from sempre.server.errors import ObjectNotFound
from sempre.server.scope import Scope

__all__ = ["move_all", "sweep"]

log = logging.getLogger("sempre.services")

_PAGE = 200
_AT_ONCE = 8
_MOST_PAGES = 500  # what is left waits for the next round

Move = Callable[[Scope, Record], Awaitable[bool]]


async def sweep(scope: Scope, query: str, move: Move, *arguments: Any) -> None:
    """Move every run that ``query`` finds; ``move`` says whether it did.

    ``query`` takes the page size as ``$1``, then ``arguments``; it gives rows with ``id``, ``workspace_id`` and what
    ``move`` needs, and no longer those that were moved. One run that cannot be moved is logged and does not keep the
    others: so many more are asked for.
    """
    seen: set[UUID] = set()
    stuck = 0
    for _ in range(_MOST_PAGES):
        rows = await scope.db.fetch(query, _PAGE + stuck, *arguments)
        fresh = [row for row in rows if row["id"] not in seen]
        seen.update(row["id"] for row in fresh)
        stuck += len(fresh) - await move_all(scope, fresh, move)
        if not fresh or len(rows) < _PAGE:
            return


async def move_all(scope: Scope, rows: list[Record], move: Move) -> int:
    """Move these runs, each by itself. Returns how many were moved; raises DatabaseUnavailable."""
    free = asyncio.Semaphore(_AT_ONCE)

    async def one(row: Record) -> bool:
        async with free:
            try:
                return await move(dataclasses.replace(scope, workspace_id=row["workspace_id"]), row)
            except ObjectNotFound:
                return False  # deleted meanwhile
            except DatabaseUnavailable:
                raise
            except Exception:
                log.exception("run %s could not be moved", row["id"])
                return False

    try:
        async with asyncio.TaskGroup() as group:
            moves = [group.create_task(one(row)) for row in rows]
    except ExceptionGroup as away:
        raise away.exceptions[0] from None  # only the database's absence gets here
    return sum(each.result() for each in moves)
