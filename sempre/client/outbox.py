"""What waits to be delivered: in memory, and on disk once the API is known to be away."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque

from sempre.client import backstage
from sempre.client.journal import Journal

__all__ = ["Outbox"]

_MEMORY_COUNT = 20_000
_MEMORY_BYTES = 32 << 20

log = logging.getLogger("sempre.client")


class Outbox:
    """A queue of one kind: filled from any thread, emptied backstage. What is on disk is older than what is in
    memory."""

    def __init__(self, kind: str, journal: Journal) -> None:
        self.kind = kind
        self.journal = journal
        self._lock = threading.Lock()
        self._memory: deque[bytes] = deque()
        self._size = 0
        self._on_disk = journal.holds(kind)
        self._from_disk = False
        self._woken = False
        self._filled: asyncio.Event | None = None
        self._lost = 0

    def put(self, record: bytes) -> None:
        """Have a record delivered. Returns at once; never raises for an API that is away."""
        with self._lock:
            if self._on_disk or len(self._memory) >= _MEMORY_COUNT or self._size >= _MEMORY_BYTES:
                self._write_down([record])
            else:
                self._memory.append(record)
                self._size += len(record)
            wake = not self._woken and self._filled is not None
            self._woken = self._woken or wake
        if wake:
            assert self._filled is not None
            backstage.loop().call_soon_threadsafe(self._filled.set)

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return self._size

    def __bool__(self) -> bool:
        return bool(self._memory) or self._on_disk

    async def wait(self) -> None:
        """Until there is something to deliver. Backstage only."""
        if self._filled is None:
            self._filled = asyncio.Event()
        while not self:
            await self._filled.wait()
            self._filled.clear()
            with self._lock:
                self._woken = False

    async def wait_for_more(self, seconds: float, size: int, hurry: asyncio.Event) -> None:
        """Until so many seconds are over, so many bytes have come together, or `hurry` is set."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while (left := deadline - loop.time()) > 0 and self._size < size and not hurry.is_set() and not self._on_disk:
            try:
                async with asyncio.timeout(min(left, 0.25)):
                    await hurry.wait()
            except TimeoutError:
                continue

    def take(self, count: int, size: int) -> list[bytes]:
        """The oldest records; they stay until `delivered`."""
        with self._lock:
            if self._on_disk:
                found = self.journal.peek(self.kind, count, size)
                if found:
                    self._from_disk = True
                    return found
                self._on_disk = False
            self._from_disk = False
            taken: list[bytes] = []
            total = 0
            for record in self._memory:
                total += len(record)
                if len(taken) >= count or (taken and total > size):
                    break
                taken.append(record)
            return taken

    def delivered(self, count: int) -> None:
        """The first so many of those that were taken last are done with."""
        with self._lock:
            if self._from_disk:
                self.journal.drop(self.kind, count)
                return
            for _ in range(min(count, len(self._memory))):
                self._size -= len(self._memory.popleft())

    def write_down(self) -> None:
        """Move to disk what is in memory, and everything that comes until the disk is empty again."""
        with self._lock:
            if not self._memory:
                return
            records = list(self._memory)
            self._memory.clear()
            self._size = 0
            self._write_down(records)

    def _write_down(self, records: list[bytes]) -> None:
        try:
            self.journal.append(self.kind, records)
        except OSError as error:
            # A read-only or full disk: memory it is, up to its bound.
            kept = self._memory
            kept.extend(records)
            self._size += sum(map(len, records))
            while len(kept) > 10 * _MEMORY_COUNT:
                self._size -= len(kept.popleft())
                self._lost += 1
            if self._lost == 1:
                log.error("The journal in %s cannot be written (%s) and the API is away: the oldest %s are lost.",
                          self.journal.directory, error, self.kind)  # fmt: skip
            return
        self._on_disk = True
