"""Large figures that took long to find, told to the other servers of the installation.

A value counts only with the seal of a server (``Installation.secret``, which is in Postgres): whoever can write to
the Redis can make the servers ask Postgres again, but not believe him.
"""

import asyncio
import hashlib
import hmac
import math
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from redis.asyncio import Redis

from sempre.db.errors import DatabaseUnavailable
from sempre.server.redis.installation import Installation
from sempre.server.redis.link import Link, RedisAway

__all__ = ["Row", "ToldFigures"]

_FORMAT = 1  # of the values; those of another one are not read
_MOST_BYTES = 256 * 1024
_MOST_ROWS = 5_000
_SEAL_BYTES = 32

# Longest that a question waits here before Postgres is asked: no longer than what is not worth telling takes there.
_PATIENCE_SECONDS = 0.1
# A Redis that did not answer in that time is asked nothing for so long; if it is away, that is known by then.
_REST_SECONDS = 1.0


class Row:
    """A row as the driver's: by name or number."""

    __slots__ = ("_columns", "_values")

    def __init__(self, columns: dict[str, int], values: Sequence[Any]) -> None:
        self._columns = columns
        self._values = values

    def __getitem__(self, key: str | int) -> Any:
        return self._values[self._columns[key] if isinstance(key, str) else key]

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def keys(self) -> Iterator[str]:
        return iter(self._columns)

    def values(self) -> Iterator[Any]:
        return iter(self._values)

    def items(self) -> Iterator[tuple[str, Any]]:
        return zip(self._columns, self._values, strict=True)


class ToldFigures:
    """The store of ``SharedAnswers``, whose answers are rows, at least one. ``clock``: that of the machine, in s."""

    def __init__(self, link: Link, installation: Installation, clock: Callable[[], float] = time.time) -> None:
        self._link = link
        self._installation = installation
        self._clock = clock
        self._asking: asyncio.Task[_Names | None] | None = None
        self._rests_until = 0.0

    async def read(self, question: bytes) -> tuple[list[Row], float] | None:
        names = self._names()
        if names is None or not self._link.up or time.monotonic() < self._rests_until:
            return None
        key = names.key(question)
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                value, milliseconds = await self._link.call(lambda redis: _read(redis, key))
        except TimeoutError:
            self._rests_until = time.monotonic() + _REST_SECONDS
            return None
        except RedisAway:
            return None
        # Errors are answers here: what others put at a key must not make the Redis seem to be away.
        if not isinstance(value, bytes) or not isinstance(milliseconds, int):
            return None
        body = names.unsealed(key, value)
        return None if body is None else self._answer(body, milliseconds / 1000)

    async def write(self, question: bytes, answer: Any, seconds: float) -> None:
        if not self._link.up or len(answer) > _MOST_ROWS:
            return
        until = self._clock() + seconds  # told as well: a Redis that stood still may take this in much later
        names = await self._asked()
        try:
            rows = [[_told(value) for value in row.values()] for row in answer]
            body = orjson.dumps((until, list(answer[0].keys()), rows))
        except TypeError:  # something that is no figure, or no number of JSON
            return
        if names is None or len(body) > _MOST_BYTES - _SEAL_BYTES:
            return
        key = names.key(question)
        value, left = names.sealed(key, body), int((until - self._clock()) * 1000)
        if left <= 0:
            return
        try:
            await self._link.call(lambda redis: redis.set(key, value, px=left))
        except RedisAway:
            return

    def _answer(self, body: bytes, seconds: float) -> tuple[list[Row], float] | None:
        until, names, rows = orjson.loads(body)
        seconds = min(seconds, until - self._clock())
        if seconds <= 0:
            return None
        columns = {name: number for number, name in enumerate(names)}
        return [Row(columns, [_heard(value) for value in row]) for row in rows], seconds

    def _names(self) -> "_Names | None":
        """If they are known: a question does not wait for another one."""
        task = self._asking
        if task is None or (task.done() and (task.cancelled() or task.result() is None)):
            task = self._asking = asyncio.create_task(_Names.of(self._installation))
        return task.result() if task.done() else None

    async def _asked(self) -> "_Names | None":
        self._names()
        assert self._asking is not None
        return await asyncio.shield(self._asking)


class _Names:
    """Keys and seals of one installation."""

    def __init__(self, prefix: str, secret: bytes) -> None:
        self._prefix = prefix
        self._secret = secret

    @classmethod
    async def of(cls, installation: Installation) -> "_Names | None":
        try:
            return cls(await installation.key(f"figures:{_FORMAT}"), await installation.secret())
        except (DatabaseUnavailable, asyncpg.PostgresError):  # the latter: there is no schema yet
            return None

    def key(self, question: bytes) -> str:
        return f"{self._prefix}:{hashlib.sha256(question).hexdigest()}"

    def sealed(self, key: str, body: bytes) -> bytes:
        return self._seal(key, body) + body

    def unsealed(self, key: str, value: bytes) -> bytes | None:
        seal, body = value[:_SEAL_BYTES], value[_SEAL_BYTES:]
        return body if hmac.compare_digest(seal, self._seal(key, body)) else None

    def _seal(self, key: str, body: bytes) -> bytes:
        return hmac.digest(self._secret, key.encode() + b"\n" + body, "sha256")


async def _read(redis: Redis, key: str) -> Any:
    """The value, or its beginning if it is longer than any of ours, and its milliseconds to live."""
    async with redis.pipeline(transaction=False) as both:
        both.getrange(key, 0, _MOST_BYTES - 1)
        both.pttl(key)
        return await both.execute(raise_on_error=False)


# What JSON has no word for, as a pair of a letter and a text. (Nothing that is told is a list itself.)
_TOLD: tuple[tuple[str, type, Callable[[Any], str]], ...] = (
    ("t", datetime, datetime.isoformat),
    ("u", UUID, str),
    ("n", Decimal, str),
    ("d", timedelta, lambda value: str(value // timedelta(microseconds=1))),
)
_HEARD: dict[str, Callable[[str], Any]] = {
    "t": datetime.fromisoformat,
    "u": UUID,
    "n": Decimal,
    "d": lambda text: timedelta(microseconds=int(text)),
}


def _told(value: Any) -> Any:
    """Raises TypeError."""
    if value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    for letter, kind, written in _TOLD:
        if isinstance(value, kind):
            return letter, written(value)
    raise TypeError(type(value).__name__)


def _heard(value: Any) -> Any:
    return _HEARD[value[0]](value[1]) if isinstance(value, list) else value
