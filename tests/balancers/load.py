"""A plain load without any retries, and subscribers of the event stream that connect again and miss nothing."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any

import httpx
import orjson
import websockets

from tests.support.events import an_event

EVENT = "balancer.counted"


@dataclass
class Load:
    """`per_second` requests on kept connections, half of them reads, half events sent by POST.

    `answers` counts by method and what came: a status, or the name of the error. `sent` has the ids of all events that
    were offered, `taken` of those that were acknowledged.
    """

    api_url: str
    per_second: float
    concurrent: int = 20
    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    sent: set[str] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)
    slowest: float = 0.0
    _ended: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def __aenter__(self) -> Load:
        limits = httpx.Limits(max_connections=self.concurrent, max_keepalive_connections=self.concurrent)
        self._client = httpx.AsyncClient(base_url=self.api_url, timeout=60, limits=limits)
        self._tasks = [asyncio.create_task(self._caller()) for _ in range(self.concurrent)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        await asyncio.gather(*self._tasks)
        await self._client.aclose()

    @property
    def count(self) -> int:
        return sum(self.answers.values())

    def failures(self, *methods: str) -> dict[tuple[str, str], int]:
        """What was not a 2xx, by method and answer."""
        wanted = methods or ("GET", "POST")
        return {key: n for key, n in self.answers.items() if key[0] in wanted and not key[1].startswith("2")}

    async def _caller(self) -> None:
        due = time.monotonic()
        reads = 0
        while not self._ended.is_set():
            reads += 1
            if reads % 2:
                await self._counted("GET", "/variables/name/nobody")
            else:
                event = an_event(EVENT)
                self.sent.add(event["id"])
                if await self._counted("POST", "/events", [event]):
                    self.taken.add(event["id"])
            due += self.concurrent / self.per_second
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _counted(self, method: str, path: str, body: Any = None) -> bool:
        began = time.monotonic()
        try:
            response = await self._client.request(method, path, json=body)
            answer = "204" if response.status_code == 404 and method == "GET" else str(response.status_code)
        except httpx.HTTPError as error:
            answer = type(error).__name__
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.answers[method, answer] += 1
        return answer.startswith("2")


class Subscribers:
    """Readers of the event stream that, when a connection ends, connect again and ask for the last minutes."""

    def __init__(self, api_url: str, count: int) -> None:
        self.seen: list[set[str]] = [set() for _ in range(count)]
        self.connections = 0
        self.ends: Counter[str] = Counter()
        self._url = api_url.replace("http", "ws", 1) + "/events/out"
        self._open = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Subscribers:
        self._tasks = [asyncio.create_task(self._follow(seen)) for seen in self.seen]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def all_open(self) -> bool:
        return self._open == len(self.seen)

    def missing(self, wanted: set[str]) -> int:
        """How many of these events some subscriber has not seen, at most."""
        return max(len(wanted - seen) for seen in self.seen)

    async def _follow(self, seen: set[str]) -> None:
        while True:
            try:
                async with websockets.connect(self._url, subprotocols=[websockets.Subprotocol("prefect")]) as socket:
                    await self._read(socket, seen)
            except (websockets.WebSocketException, OSError) as error:
                code = getattr(getattr(error, "rcvd", None), "code", None)
                self.ends[str(code or type(error).__name__)] += 1
                await asyncio.sleep(0.2)

    async def _read(self, socket: websockets.ClientConnection, seen: set[str]) -> None:
        await socket.send(orjson.dumps({"type": "auth", "token": None}).decode())
        assert orjson.loads(await socket.recv())["type"] == "auth_success"
        since = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
        wanted = {"occurred": {"since": since, "until": "2100-01-01T00:00:00Z"}, "event": {"name": [EVENT]}}
        await socket.send(orjson.dumps({"type": "filter", "filter": wanted}).decode())
        self.connections += 1
        self._open += 1
        try:
            async for message in socket:
                seen.add(orjson.loads(message)["event"]["id"])
        finally:
            self._open -= 1
