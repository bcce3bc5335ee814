"""Bounds and shapes that every list call shares: page sizes, offsets, pages, sorting."""

import math
from typing import Annotated, Any

from fastapi import Body
from sqlalchemy import Select, func, select

from sempre.db.compile import compiled
from sempre.db.pool import Executor, Record
from sempre.server.errors import Unprocessable
from sempre.server.scope import Scope

__all__ = ["Limit", "Offset", "PageNumber", "bounded", "count", "fetch", "page_of"]


# A null for one of these is no value, as for every optional parameter beside others (see bodies.py).
Limit = Annotated[int | None, Body(description="Page size; null or absent: the server's default")]
Offset = Annotated[int, Body(ge=0)]
PageNumber = Annotated[int, Body(ge=1)]


def bounded(scope: Scope, limit: int | None) -> int:
    """The page size asked for, or the default. Raises Unprocessable outside 0 .. the server's limit."""
    most = scope.settings.api.default_limit
    if limit is None:
        return most
    if limit > most:
        raise Unprocessable(f"Invalid limit: must be less than or equal to {most}.")
    if limit < 0:
        raise Unprocessable("Invalid limit: must be greater than or equal to 0.")
    return limit


async def fetch(db: Executor, query: Select[Any]) -> list[Record]:
    sql, arguments = compiled(query)
    return await db.fetch(sql, *arguments)


async def count(db: Executor, query: Select[Any]) -> int:
    """How many rows ``query`` would give without its limits."""
    sql, arguments = compiled(select(func.count()).select_from(query.subquery()))
    return int(await db.fetchval(sql, *arguments))


def page_of(results: list[Any], *, total: int, limit: int, page: int) -> dict[str, Any]:
    return {
        "results": results,
        "count": total,
        "limit": limit,
        "pages": math.ceil(total / limit) if limit else 0,
        "page": page,
    }
