"""What Postgres does for a call: the statements it was given, and their plans."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sempre.db.pool import Database

Statement = tuple[str, Sequence[Any]]
Node = dict[str, Any]

_FEW = 300  # rows: a page or some, which Postgres reads whole for less than an index costs
_HISTORY = ("flow_run", "flow_run_state", "task_run", "task_run_state", "event", "log")


class WatchedDatabase(Database):
    """A pool that remembers what it ran outside of transactions."""

    def __init__(self, dsn: str, *, size: int = 4) -> None:
        super().__init__(dsn, size=size)
        self.statements: list[Statement] = []

    async def _run(self, method: Callable[..., Awaitable[Any]], sql: str, args: Sequence[Any]) -> Any:
        self.statements.append((sql, args))
        return await super()._run(method, sql, args)

    async def plan(self, statement: Statement, *, generic: bool = False) -> Plan:
        """What Postgres does for the statement; what that changes is undone.

        ``generic``: with the plan a prepared statement comes to after some calls, for whatever values.
        """
        sql, args = statement
        connection = await self._connect()
        try:
            if generic:
                await connection.execute("SET plan_cache_mode = force_generic_plan")
            transaction = connection.transaction()
            await transaction.start()
            found = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", *args)
            await transaction.rollback()
        finally:
            await connection.close()
        [explained] = json.loads(found) if isinstance(found, str) else found
        return Plan(explained)


@dataclass(frozen=True)
class Plan:
    """One EXPLAIN ANALYZE in JSON."""

    explained: dict[str, Any]

    @property
    def nodes(self) -> Iterator[Node]:
        return _walk(self.explained["Plan"])

    @property
    def scanned(self) -> list[str]:
        """History tables that are read from end to end. Parts with few rows do not count: a day begins with few."""
        return [
            table
            for node in self.nodes
            if node["Node Type"] == "Seq Scan"
            and (table := history_table(node["Relation Name"])) is not None
            and _looked_at(node) > _FEW
        ]

    @property
    def visited(self) -> int:
        """Rows of history tables and entries of their indexes that were looked at."""
        return sum(_looked_at(node) for node in self.nodes if history_table(node.get("Relation Name", "")) is not None)

    @property
    def buffers(self) -> int:
        top = self.explained["Plan"]
        return int(top["Shared Hit Blocks"] + top["Shared Read Blocks"])

    @property
    def milliseconds(self) -> float:
        return float(self.explained["Execution Time"])

    def __str__(self) -> str:
        return "\n".join(_lines(self.explained["Plan"], 0))


def history_table(relation: str) -> str | None:
    """The history table that a relation is, or is a part of."""
    root = relation.rstrip("0123456789").removesuffix("_").removesuffix("_default")
    return root if root in _HISTORY else None


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.get("Plans", ()):
        yield from _walk(child)


def _looked_at(node: Node) -> int:
    rows: int = round(node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)))
    return rows


def _lines(node: Node, depth: int) -> Iterator[str]:
    names = (
        node["Node Type"],
        node.get("Relation Name"),
        node.get("Index Name"),
        node.get("Index Cond"),
        node.get("Filter"),
    )
    yield "  " * depth + " ".join(map(str, filter(None, names))) + f" [{node['Actual Rows']} x {node['Actual Loops']}]"
    for child in node.get("Plans", ()):
        yield from _lines(child, depth + 1)
