"""One writer per process: the events of all its sockets and requests, grouped for a few milliseconds.

What was put in is appended in order, one statement at a time; while one is under way the next group gathers. Memory is
bounded by count and by bytes: past the bound sockets wait (and with them their clients), requests are refused.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from sempre.db.errors import DatabaseUnavailable
from sempre.db.pool import Database
from sempre.server.events.append import EncodedEvent, append, without_repeats
from sempre.server.feed.doorbell import Doorbell
from sempre.server.settings.services import EventPersisterSettings

__all__ = ["EventWriter"]

log = logging.getLogger("sempre.events")

_MOST_BYTES = 64 * 1024 * 1024
_MOST_BYTES_AT_ONCE = 8 * 1024 * 1024
_FIRST_RETRY_SECONDS = 0.05
_LONGEST_RETRY_SECONDS = 1.0


@dataclass(slots=True)
class _Unit:
    """What was put in together. ``done`` is there for callers that wait, and that do not outwait an outage."""

    events: Sequence[EncodedEvent]
    done: "asyncio.Future[None] | None" = None

    def finish(self, error: Exception | None = None) -> None:
        if self.done is not None and not self.done.done():
            if error is None:
                self.done.set_result(None)
            else:
                self.done.set_exception(error)


class EventWriter:
    """``put`` and ``barrier`` for sockets, ``append`` for requests.

    ``quarantined`` counts events that the database would not take, which are logged and left out.
    """

    def __init__(self, db: Database, doorbell: Doorbell, settings: EventPersisterSettings) -> None:
        self._db = db
        self._doorbell = doorbell
        self._settings = settings
        self._queue: deque[_Unit] = deque()
        self._count = self._bytes = 0
        self._submitted = self._finished = 0
        self._barriers: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._outage: DatabaseUnavailable | None = None
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self.quarantined = 0

    @property
    def waiting(self) -> int:
        """Events that were taken in and are not written yet."""
        return self._count

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="event-writer")

    async def stop(self, timeout: float = 10.0) -> None:
        """Take nothing more and append what is there, for at most ``timeout`` seconds."""
        self._stopping = True
        self._news.set()
        self._room.set()
        if self._task is None:
            return
        _, late = await asyncio.wait({self._task}, timeout=timeout)
        if late:
            log.warning("stopped with %d events unwritten; their senders were told nothing", self._count)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for _, future in self._barriers:
            future.cancel()

    async def put(self, event: EncodedEvent) -> None:
        """Take an event in, waiting for room. It is durable once a later ``barrier`` is through."""
        while self._is_full() and not self._stopping:
            self._room.clear()
            await self._room.wait()
        self._submit(_Unit((event,)))

    def barrier(self) -> "asyncio.Future[None]":
        """Done once everything put in before is durable; cancelled if the writer stops first."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._finished == self._submitted:
            future.set_result(None)
        else:
            self._barriers.append((self._submitted, future))
        return future

    async def append(self, events: Sequence[EncodedEvent]) -> None:
        """Append now. Raises DatabaseUnavailable if the database or the room in the queue is not there."""
        if not events:
            return
        if self._outage is not None:
            raise self._outage
        if self._is_full():
            raise DatabaseUnavailable("too many events are waiting to be written")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._submit(_Unit(events, done))
        await done

    def _is_full(self) -> bool:
        return self._count >= self._settings.queue_max_size or self._bytes >= _MOST_BYTES

    def _submit(self, unit: _Unit) -> None:
        if self._stopping:
            raise DatabaseUnavailable("the server is stopping")
        self._queue.append(unit)
        self._count += len(unit.events)
        self._bytes += sum(event.size for event in unit.events)
        self._submitted += 1
        self._news.set()

    async def _run(self) -> None:
        while True:
            await self._news.wait()
            if not self._stopping and self._count < self._settings.batch_size:
                await asyncio.sleep(self._settings.flush_interval_seconds)
            self._news.clear()
            while self._queue:
                await self._write(self._take())
            if self._stopping:
                return

    def _take(self) -> list[_Unit]:
        taken: list[_Unit] = []
        count = size = 0
        while self._queue and count < self._settings.batch_size and size < _MOST_BYTES_AT_ONCE:
            unit = self._queue.popleft()
            taken.append(unit)
            count += len(unit.events)
            size += sum(event.size for event in unit.events)
        return taken

    async def _write(self, units: list[_Unit]) -> None:
        await self._persist(units)
        for unit in units:
            self._release(unit)
        self._finished += len(units)
        while self._barriers and self._barriers[0][0] <= self._finished:
            future = self._barriers.popleft()[1]
            if not future.done():
                future.set_result(None)
        self._doorbell.ring("events")

    async def _persist(self, units: list[_Unit]) -> None:
        """Write until it is written. Requests are told of an outage at once; a poison event is left out."""
        pause = _FIRST_RETRY_SECONDS
        while True:
            try:
                await append(self._db, without_repeats(event for unit in units for event in unit.events))
            except DatabaseUnavailable as error:
                self._refuse_requests(units, error)
                log.warning("events wait for the database: %s", error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_RETRY_SECONDS)
            except Exception as error:
                self._outage = None
                await self._isolate(units, error)
                return
            else:
                self._outage = None
                for unit in units:
                    unit.finish()
                return

    def _refuse_requests(self, units: list[_Unit], error: DatabaseUnavailable) -> None:
        """Whoever waits for an answer gets it now. The unit stays, without events: barriers count units."""
        self._outage = error
        for unit in (*units, *self._queue):
            if unit.done is not None:
                unit.finish(error)
                self._release(unit)

    async def _isolate(self, units: list[_Unit], error: Exception) -> None:
        if len(units) > 1:
            middle = len(units) // 2
            await self._persist(units[:middle])
            await self._persist(units[middle:])
            return
        unit = units[0]
        self.quarantined += len(unit.events)
        for event in unit.events:
            log.error("event %s (%s) cannot be stored and was left out: %s", event.event, event.id, error)
        unit.finish(error)

    def _release(self, unit: _Unit) -> None:
        self._count -= len(unit.events)
        self._bytes -= sum(event.size for event in unit.events)
        unit.events = ()
        if not self._is_full():
            self._room.set()
