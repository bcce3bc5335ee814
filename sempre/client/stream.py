"""What is subscribed to, across any interruption, without loading a model of it: short runs are light."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from websockets.asyncio.client import ClientConnection

from sempre.client import backstage
from sempre.client.connection import Connection
from sempre.client.errors import ApiRefused, ApiUnreachable
from sempre.client.websocket import Lost, opened, receive_object
from sempre.settings import ClientSettings

__all__ = ["OVERLAP", "Events", "PlainEventStream", "Stream"]

T = TypeVar("T")

OVERLAP = timedelta(seconds=60)
"""How far before the last item a stream that was interrupted asks again."""
_AHEAD = timedelta(days=365)
_KNOWN = 100_000
_QUEUED = 5_000
_PROTOCOL_ERROR = 1002
_LONGEST_PAUSE = 5.0


class Stream(Generic[T]):
    """What one subscriber gets, to be iterated over in any loop (`async for`) or in any thread (`for`).

    It survives every way in which a connection can end: it connects again, for ever, asks for what happened since the
    last item, a minute before it included, and leaves out what it has shown. `Unauthorized` and `ApiRefused` are raised
    by the iteration. It ends when it is closed; use it in `with` or `async with`.
    """

    _path: str
    _key: str

    def __init__(self, settings: ClientSettings | None = None) -> None:
        self._connection = Connection(settings)
        self._items: asyncio.Queue[T | BaseException] = asyncio.Queue(_QUEUED)
        self._known: dict[str, None] = {}
        self._latest: datetime | None = None
        self._task: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()
        self._closed = False

    # --- for subclasses --------------------------------------------------------------------------------

    def _filter(self, latest: datetime | None) -> dict[str, Any]:
        """The filter to subscribe with; `latest` is the time of the newest item shown."""
        raise AssertionError("a stream has a filter")

    def _parse(self, item: dict[str, Any]) -> tuple[T, datetime]:
        """(item, its time)."""
        raise AssertionError("a stream has items")

    # --- iteration -------------------------------------------------------------------------------------

    def __aiter__(self) -> Self:
        return self

    def __iter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        item = await backstage.arun(self._next())
        if item is None:
            raise StopAsyncIteration
        return item

    def __next__(self) -> T:
        item = backstage.run(self._next())
        if item is None:
            raise StopIteration
        return item

    def next(self, timeout: float) -> T | None:
        """The next item; None if none comes within so many seconds, or the stream is closed."""
        return backstage.run(self._next(timeout))

    async def anext(self, timeout: float) -> T | None:
        """The same, to be awaited."""
        return await backstage.arun(self._next(timeout))

    async def __aenter__(self) -> Self:
        await backstage.arun(self._ready())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await backstage.arun(self._close())

    def __enter__(self) -> Self:
        backstage.run(self._ready())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the stream, and with it a waiting iteration."""
        backstage.run(self._close())

    # --- backstage -------------------------------------------------------------------------------------

    def _start(self) -> None:
        if self._task is None and not self._closed:
            self._task = asyncio.get_running_loop().create_task(self._play())

    async def _ready(self) -> None:
        """Until subscribed for the first time, or it is known that this is refused."""
        self._start()
        await self._connected.wait()

    async def _next(self, timeout: float | None = None) -> T | None:
        self._start()
        if self._closed and self._items.empty():
            return None
        try:
            async with asyncio.timeout(timeout):
                item = await self._items.get()
        except TimeoutError:
            return None
        if isinstance(item, asyncio.CancelledError):
            return None
        if isinstance(item, BaseException):
            self._closed = True
            raise item
        return item

    async def _close(self) -> None:
        self._closed = True
        task, self._task = self._task, None
        if task is not None:
            if not task.cancelling():  # else it is closing its connection already, and would leave that open
                task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        with contextlib.suppress(asyncio.QueueFull):
            self._items.put_nowait(asyncio.CancelledError())

    async def _play(self) -> None:
        failures = 0
        while True:
            try:
                transport = await self._connection.transport()
                async with opened(transport.settings, self._path) as socket:
                    await socket.send(json.dumps({"type": "filter", "filter": self._filter(self._latest)}, default=str))
                    self._connected.set()
                    failures = 0
                    await self._receive(socket)
            except Lost as lost:
                if lost.code == _PROTOCOL_ERROR:
                    await self._fail(ApiRefused("GET", self._path, 422, lost.reason))
                    return
            except ApiUnreachable:
                pass
            except Exception as error:  # whoever iterates must hear of it, whatever it is
                await self._fail(error)
                return
            failures += 1
            await asyncio.sleep(0 if failures == 1 else min(_LONGEST_PAUSE, 0.1 * 2 ** min(failures, 10)))

    async def _fail(self, error: BaseException) -> None:
        self._connected.set()
        await self._items.put(error)

    async def _receive(self, socket: ClientConnection) -> None:
        while True:
            message = await receive_object(socket)
            raw = message.get(self._key)
            if not isinstance(raw, dict):
                continue
            id = str(raw.get("id"))
            if id in self._known:
                continue
            item, moment = self._parse(raw)
            # Full: the server notices that nobody reads, and is asked again for what came meanwhile.
            await self._items.put(item)
            self._known[id] = None
            if len(self._known) > _KNOWN:
                del self._known[next(iter(self._known))]
            self._latest = moment if self._latest is None else max(self._latest, moment)


class Events(Stream[T]):
    """Events that match a filter, a mapping with the keys of an `EventFilter` and plain values.

    `since` is the time of the first one wanted, by default a minute ago; the server tells of its last 15 minutes at
    most.
    """

    _path = "/events/out"
    _key = "event"

    def __init__(
        self, wanted: Mapping[str, Any], *, since: datetime | None = None, settings: ClientSettings | None = None
    ) -> None:
        super().__init__(settings)
        self._wanted = wanted
        self._since = since

    def _filter(self, latest: datetime | None) -> dict[str, Any]:
        now = datetime.now(UTC)
        since = (latest or now) - OVERLAP if latest or self._since is None else self._since
        occurred = {"since": since.isoformat(), "until": (now + _AHEAD).isoformat()}
        return {**self._wanted, "occurred": occurred}


class PlainEventStream(Events[dict[str, Any]]):
    """The events as the objects that came."""

    def _parse(self, item: dict[str, Any]) -> tuple[dict[str, Any], datetime]:
        return item, datetime.fromisoformat(item["occurred"])
