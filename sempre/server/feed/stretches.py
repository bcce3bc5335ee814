"""What one process has read of a log, as entries of a stream for the others (:mod:`sempre.core.log_sharing`)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Table, Uuid
from sqlalchemy.dialects.postgresql import TIMESTAMP

from sempre.core.log_cursor import Cursor, advance, from_json, to_json
from sempre.db import tables
from sempre.server.redis.stream import Fields

__all__ = ["MAX_BYTES", "Codec", "Row", "Stretch", "from_fields", "to_fields"]

Row = Mapping[str, Any]

# Of the rows of one entry. A row that is larger is not published: who follows reads it in the database.
MAX_BYTES = 128 * 1024

_NOTHING_ENDED = -1  # older than every transaction

_READERS: dict[type, Callable[[str], Any]] = {Uuid: UUID, TIMESTAMP: datetime.fromisoformat}


@dataclass(frozen=True, slots=True)
class Stretch:
    """``rows`` are the encoded rows, ``None`` where they are to be read in the database."""

    before: Cursor
    after: Cursor
    rows: bytes | None


class Codec:
    """Rows of one table and stretches of it, to the fields of an entry and back."""

    def __init__(self, table: str) -> None:
        described: Table = tables.metadata.tables[table]
        self.columns = tuple(str(column.name) for column in described.columns)
        self._readers = {
            str(column.name): reader
            for column in described.columns
            if (reader := _READERS.get(type(column.type))) is not None
        }

    def stretches(self, before: Cursor, read_from: Cursor, moved: Cursor, rows: Sequence[Row]) -> Iterator[Stretch]:
        """Of one read, ``read_from`` to ``moved``; ``before``: where the read of the last rows before these ended.

        Rows that are too many for one entry become several.
        """
        encoded: list[bytes] = []
        size = first = 0
        for number, row in enumerate(rows):
            data = self._encode(row)
            if encoded and size + len(data) > MAX_BYTES:
                # Of a read that was cut off here: no hole is found dead by it, nor gets a bound.
                between = advance(read_from, [one["seq"] for one in rows[:number]], _NOTHING_ENDED, 0)
                yield Stretch(before, between, _joined(encoded, size))
                before, encoded, size, first = between, [], 0, number
            encoded.append(data)
            size += len(data)
        if rows[first:]:
            yield Stretch(before, moved, _joined(encoded, size))

    def rows(self, encoded: bytes) -> list[dict[str, Any]]:
        """Raises ValueError if they are of another shape."""
        rows: list[dict[str, Any]] = orjson.loads(encoded)
        try:
            for row in rows:
                for name, reader in self._readers.items():
                    if row[name] is not None:
                        row[name] = reader(row[name])
        except (KeyError, TypeError) as error:
            raise ValueError("not rows of this table") from error
        return rows

    def _encode(self, row: Row) -> bytes:
        return orjson.dumps({name: row[name] for name in self.columns}, default=str)


def to_fields(stretch: Stretch) -> Fields:
    fields = {b"from": orjson.dumps(to_json(stretch.before)), b"to": orjson.dumps(to_json(stretch.after))}
    return fields if stretch.rows is None else {**fields, b"rows": stretch.rows}


def from_fields(fields: Fields) -> Stretch:
    """Raises ValueError if they are none of ours."""
    try:
        before, after = (from_json(orjson.loads(fields[name])) for name in (b"from", b"to"))
    except KeyError as error:
        raise ValueError("not a stretch") from error
    return Stretch(before, after, fields.get(b"rows"))


def _joined(encoded: list[bytes], size: int) -> bytes | None:
    return b"[" + b",".join(encoded) + b"]" if size <= MAX_BYTES else None
