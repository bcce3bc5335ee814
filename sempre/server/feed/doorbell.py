"""The doorbell: "something new is there", rung after commit and heard by every process.

It carries no data and promises nothing: who waits also looks by itself after a while. Rings are coalesced for about
ten milliseconds per process and sent off the write path, because a commit that notifies takes a lock on the whole
database.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Iterator

import asyncpg

from sempre.db.errors import DatabaseUnavailable
from sempre.db.pool import Database

__all__ = ["Doorbell"]

_CHANNEL = "sempre_doorbell"
_COALESCE_SECONDS = 0.01
_RECONNECT_SECONDS = 1.0
_HEARTBEAT_SECONDS = 5.0
_MAX_PAYLOAD = 7900

log = logging.getLogger("sempre.feed")


class Doorbell:
    """``ring("events")`` wakes whoever is in ``wait("events", ...)``, in this process at once and in others soon.

    Topics are short words: ``events``, ``logs``, ``work:<pool id>``, ``background_tasks``, ``work_pool:<id>``, ...
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._rung: set[str] = set()
        self._to_send = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._send()), asyncio.create_task(self._listen())]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def ring(self, *topics: str) -> None:
        """Say that there is news. Call it after the commit. Never fails, never waits."""
        self._wake(topics)
        self._rung.update(topics)
        self._to_send.set()

    @contextlib.contextmanager
    def listening(self, *topics: str) -> Iterator[asyncio.Event]:
        """An event that is set by every ring of ``topics`` while the block runs. Clear it before looking."""
        event = asyncio.Event()
        for topic in topics:
            self._waiting.setdefault(topic, set()).add(event)
        try:
            yield event
        finally:
            for topic in topics:
                waiting = self._waiting.get(topic)
                if waiting is not None:
                    waiting.discard(event)
                    if not waiting:
                        del self._waiting[topic]

    def _wake(self, topics: Iterable[str]) -> None:
        for topic in topics:
            for event in self._waiting.get(topic, ()):
                event.set()

    async def _send(self) -> None:
        while True:
            await self._to_send.wait()
            await asyncio.sleep(_COALESCE_SECONDS)
            self._to_send.clear()
            topics, self._rung = sorted(self._rung), set()
            with contextlib.suppress(DatabaseUnavailable):
                for payload in _payloads(topics):
                    await self._db.execute("SELECT pg_notify($1, $2)", _CHANNEL, payload)

    async def _listen(self) -> None:
        while True:
            connection: asyncpg.Connection | None = None
            try:
                connection = await self._db.connect()
                await connection.add_listener(_CHANNEL, lambda *heard: self._wake(heard[3].split(",")))
                # What was rung while nobody listened is unknown: everybody looks once.
                self._wake(list(self._waiting))
                while not connection.is_closed():
                    await asyncio.sleep(_HEARTBEAT_SECONDS)
                    await connection.execute("SELECT 1")
            except (DatabaseUnavailable, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
                log.debug("the doorbell's connection was lost: %s", error)
            finally:
                if connection is not None:
                    with contextlib.suppress(Exception):
                        await connection.close(timeout=1)
            await asyncio.sleep(_RECONNECT_SECONDS)


def _payloads(topics: list[str]) -> list[str]:
    payloads: list[str] = []
    current = ""
    for topic in topics:
        if current and len(current) + 1 + len(topic) > _MAX_PAYLOAD:
            payloads.append(current)
            current = ""
        current = f"{current},{topic}" if current else topic
    return [*payloads, current] if current else payloads
