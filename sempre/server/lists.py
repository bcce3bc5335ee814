"""What every list call shares on its way to SQL: which part of a list, in which order, and how many there are."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ClauseElement, ColumnElement, FromClause, Select, Table, func, select

from sempre.db.compile import compiled
from sempre.db.pool import Database, Executor, Record
from sempre.schemas.lists import Limited, ListCall, NumberedPage, Slice
from sempre.server.errors import Unprocessable
from sempre.server.filters.relations import Family, matching
from sempre.server.scope import Scope

__all__ = ["FEW", "Part", "bounded", "count", "fetch", "figures", "first", "order", "page_of", "part_of", "value"]

FEW = 50_000  # rows that are sooner found and sorted than waited for on the way through all there are


@dataclass(frozen=True, slots=True)
class Part:
    """``limit`` rows of a list behind the first ``offset``."""

    limit: int
    offset: int = 0

    def of(self, query: Select[Any]) -> Select[Any]:
        return query.limit(self.limit).offset(self.offset)


def part_of(scope: Scope, asked: Slice | NumberedPage) -> Part:
    """The part a call asks for. Raises Unprocessable for a limit outside 0 .. the server's."""
    size = bounded(scope, asked)
    return Part(size, (asked.page - 1) * size if isinstance(asked, NumberedPage) else asked.offset)


def bounded(scope: Scope, asked: Limited) -> int:
    """The page size asked for, or the default. Raises Unprocessable outside 0 .. the server's limit."""
    most = scope.settings.api.default_limit
    if asked.limit is None:
        return most
    if asked.limit > most:
        raise Unprocessable(f"Invalid limit: must be less than or equal to {most}.")
    if asked.limit < 0:
        raise Unprocessable("Invalid limit: must be greater than or equal to 0.")
    return asked.limit


def order(sort: StrEnum, c: Any) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """The order a sort stands for, over columns ``c``: ``NAME_ASC`` is by ``name``. Ties are broken by the id, the
    same way round, so that pages neither repeat nor skip a row and one index serves both directions."""
    columns = _keys(sort, c)
    key = func.coalesce(*columns) if len(columns) > 1 else columns[0]
    return (key.asc(), c.id.asc()) if sort.value.endswith("_ASC") else (key.desc(), c.id.desc())


def _keys(sort: StrEnum, c: Any) -> list[ColumnElement[Any]]:
    name = sort.value.rpartition("_")[0]
    return [c.start_time, c.expected_start_time] if name == "START_TIME" else [c[name.lower()]]


def first(table: Table, condition: ColumnElement[bool], sort: StrEnum, part: Part, *, few: bool = False) -> FromClause:
    """The ids of one part of a sorted list, to be joined with the table again.

    Ids, the keys of the sorts and the columns most filters look at are in one index: what is passed over on the way to
    the part costs no visit to the table. ``few``: what matches is found first, then sorted; else Postgres may go
    through everything in the order of the sort, hoping to meet enough of it soon. It hopes in vain where what matches
    lies together at the other end, as runs to come do.
    """
    if not few:
        return part.of(select(table.c.id).where(condition).order_by(*order(sort, table.c))).subquery("chosen")
    columns = dict.fromkeys((table.c.id, *_keys(sort, table.c)))
    found = select(*columns).where(condition).cte("found").prefix_with("MATERIALIZED")
    return part.of(select(found.c.id).order_by(*order(sort, found.c))).subquery("chosen")


async def fetch(db: Executor, query: ClauseElement) -> list[Record]:
    """Rows of a composed query, planned for its values. (In a transaction as usual: nothing there is large.)"""
    sql, arguments = compiled(query)
    return await (db.fetch_planned if isinstance(db, Database) else db.fetch)(sql, *arguments)


async def figures(db: Executor, query: ClauseElement) -> list[Record]:
    """The rows of a composed query that counts or sums. What takes long to find may be some seconds old, and belongs
    to all who ask the same."""
    sql, arguments = compiled(query)
    return await (db.fetch_figures if isinstance(db, Database) else db.fetch)(sql, *arguments)


async def value(db: Executor, query: Select[Any]) -> Any:
    """The one figure of a composed query."""
    return (await figures(db, query))[0][0]


async def count(db: Executor, workspace_id: UUID, family: Family, asked: ListCall) -> int:
    """How many rows of a family match."""
    query = select(func.count()).select_from(family.resource.table).where(matching(family, asked, workspace_id))
    return int(await value(db, query))


def page_of(results: list[Mapping[str, Any]], *, total: int, part: Part, page: int) -> dict[str, Any]:
    return {
        "results": results,
        "count": total,
        "limit": part.limit,
        "pages": math.ceil(total / part.limit) if part.limit else 0,
        "page": page,
    }
