"""Indexes of big tables, built while everybody goes on writing.

``CREATE INDEX CONCURRENTLY`` runs in no transaction, so a migration that builds several may end half-way: whatever it
left is taken up by the next upgrade. A finished index is kept, an invalid one is dropped and built again. On a
partitioned table it goes partition by partition, and the index counts as built once all of them have it.
"""

from dataclasses import dataclass
from typing import Any, cast

from alembic import op
from sqlalchemy import text
from sqlalchemy.engine.interfaces import DBAPIConnection

from sempre.db.migrations import tell

__all__ = ["Index", "build", "drop"]

# A partition made meanwhile has the index when it is attached; one that was made before but not seen yet is met again.
_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Index:
    """``definition`` is what follows the table's name: columns, INCLUDE, WHERE."""

    name: str
    table: str
    definition: str


def build(*indexes: Index) -> None:
    """Build those that are missing or invalid; the caller's transaction is committed before."""
    with op.get_context().autocommit_block():
        for number, index in enumerate(indexes, start=1):
            tell(f"Building index {index.name} on {index.table} ({number} of {len(indexes)}).")
            if _offline():
                _run(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {index.name} ON {index.table} {index.definition}")
            elif _is_partitioned(index.table):
                _build_in_partitions(index)
            else:
                _build_one(index)


def drop(*names: str) -> None:
    """Drop those that are there, without keeping anybody from the table."""
    with op.get_context().autocommit_block():
        for name in names:
            # Postgres drops the index of a partitioned table at once or not at all.
            how = "" if not _offline() and _is_partitioned(name) else "CONCURRENTLY "
            _run(f"DROP INDEX {how}IF EXISTS {name}")


def _build_one(index: Index) -> None:
    valid = _value("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)", name=index.name)
    if valid:
        return
    if valid is False:
        tell(f"Index {index.name} was left unfinished; building it again.")
        _run(f"DROP INDEX CONCURRENTLY {index.name}")
    _run(f"CREATE INDEX CONCURRENTLY {index.name} ON {index.table} {index.definition}")


def _build_in_partitions(index: Index) -> None:
    _run(f"CREATE INDEX IF NOT EXISTS {index.name} ON ONLY {index.table} {index.definition}")
    for _ in range(_ROUNDS):
        for partition in _partitions_without(index):
            part = Index(f"{partition}_{index.name.removeprefix(f'{index.table}_')}", partition, index.definition)
            _build_one(part)
            _run(f"ALTER INDEX {index.name} ATTACH PARTITION {part.name}")
        if _value("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)", name=index.name):
            return
    raise RuntimeError(f"index {index.name}: new partitions of {index.table} keep coming without it; upgrade again")


def _partitions_without(index: Index) -> list[str]:
    rows = op.get_bind().execute(
        text(
            """
            SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
            WHERE inhparent = to_regclass(:table) AND NOT EXISTS (
                SELECT FROM pg_inherits part JOIN pg_index i ON i.indexrelid = part.inhrelid
                WHERE part.inhparent = to_regclass(:name) AND i.indrelid = child.oid
            )
            ORDER BY child.relname
            """
        ),
        {"table": index.table, "name": index.name},
    )
    return [row[0] for row in rows]


def _is_partitioned(name: str) -> bool:
    kind = _value("SELECT relkind::text FROM pg_class WHERE oid = to_regclass(:name)", name=name)
    return kind in ("p", "I")


def _value(sql: str, **parameters: Any) -> Any:
    return op.get_bind().execute(text(sql), parameters).scalar()


def _run(sql: str) -> None:
    if _offline():
        op.execute(sql)
        return
    # Past SQLAlchemy's prepared statements, which may not hold what runs in no transaction.
    adapted = cast(DBAPIConnection, op.get_bind().connection.dbapi_connection)
    adapted.run_async(lambda connection: connection.execute(sql))


def _offline() -> bool:
    return bool(op.get_context().as_sql)
