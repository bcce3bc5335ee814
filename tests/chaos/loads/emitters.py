"""Events: over websockets with confirmation by pong, and an ordered stream by POST that automations count."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
import uuid
from datetime import UTC, datetime, timedelta

from websockets.asyncio.client import ClientConnection

from tests.chaos.loads.client import Client, GaveUp, Json, Wrong
from tests.chaos.loads.sockets import Broken, answered, connected, note_end
from tests.chaos.loads.workers import pause, write_logs
from tests.support.events import an_event

_BATCH = 10
_RESEND_SECONDS = 0.5
_LAST_SECONDS = 60.0


class Emitter:
    """Sends events over one websocket; a pong says that those before its ping are safe. Sends all others again."""

    def __init__(self, client: Client, name: str, rate: float, stopping: asyncio.Event) -> None:
        self._client = client
        self._name = name
        self._rate = rate
        self._stopping = stopping
        self._unconfirmed: list[Json] = []

    async def run(self) -> None:
        numbers = itertools.count()
        deadline = None
        while not (self._stopping.is_set() and not self._unconfirmed):
            if self._stopping.is_set():
                deadline = deadline or time.monotonic() + _LAST_SECONDS
                if time.monotonic() > deadline:
                    return  # what nobody confirmed was never acknowledged
            try:
                async with connected(self._client.url, "/events/in") as socket:
                    await self._send(socket, self._unconfirmed)
                    while not self._stopping.is_set():
                        fresh = [an_event("load.seen", f"emitter.{self._name}", n=next(numbers)) for _ in range(_BATCH)]
                        self._unconfirmed += fresh
                        await self._send(socket, fresh)
                        await pause(_BATCH / self._rate, self._stopping)
            except Broken as error:
                note_end(self._client.ledger, "events/in", error)
                await asyncio.sleep(_RESEND_SECONDS)

    async def _send(self, socket: ClientConnection, events: list[Json]) -> None:
        sent = list(events)
        for event in sent:
            await socket.send(json.dumps(event))
        await answered(socket, 30.0)
        for event in sent:
            self._client.ledger.write("event", id=event["id"])
        confirmed = {event["id"] for event in sent}
        self._unconfirmed = [event for event in self._unconfirmed if event["id"] not in confirmed]


class Stream:
    """One client that sends its events in order, each batch until it is acknowledged, as the oracle needs it."""

    def __init__(self, client: Client, flow_id: str, rate: float, stopping: asyncio.Event) -> None:
        self._client = client
        self._flow_id = flow_id
        self._rate = rate
        self._stopping = stopping

    async def run(self) -> None:
        for number in itertools.count():
            if self._stopping.is_set():
                return
            await self._acknowledged([self._any() for _ in range(_BATCH)])
            if number % 3 == 0:
                await self._job(number)
            if number % 2 == 0:
                await self._acknowledged([self._event("load.call", f"caller.{number}")])
            if number % 8 == 0:
                await self._prey()
            await pause(_BATCH / self._rate, self._stopping)

    def _any(self) -> Json:
        return self._event(f"load.{self._client.draw.choice('aabbc')}", f"thing.{self._client.draw.randrange(8)}")

    def _event(self, name: str, resource: str) -> Json:
        return an_event(name, resource, payload={"text": "x" * 50}, id=str(uuid.uuid4()))

    async def _acknowledged(self, events: list[Json]) -> None:
        """Again until somebody takes them: what a client gives up would be no loss of the server's."""
        stamp = datetime.now(UTC)
        for number, event in enumerate(events):
            event["occurred"] = (stamp + timedelta(microseconds=number)).isoformat()
        while True:
            try:
                await self._client.post("/events", events)
                break
            except (GaveUp, Wrong):
                await asyncio.sleep(1.0)
        for event in events:
            self._client.ledger.write("stream", id=event["id"])

    async def _job(self, number: int) -> None:
        """Begun, and done in the same breath or never."""
        job = f"job.{number}.{uuid.uuid4().hex[:6]}"
        events = [self._event("load.begun", job)]
        done = self._client.draw.random() < 0.7
        await self._acknowledged([*events, *([self._event("load.done", job)] if done else [])])
        self._client.ledger.write("job", resource=job, done=done)

    async def _prey(self) -> None:
        """A run of nobody's, far ahead, that an automation is to cancel."""
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": "2099-01-01T00:00:00+00:00"}}
        try:
            run = await self._client.create("/flow_runs/", {"flow_id": self._flow_id, "state": state}, "prey")
        except (GaveUp, Wrong):
            return
        await self._acknowledged([self._event("load.recall", f"prefect.flow-run.{run['id']}")])


async def logs(client: Client, rate: float, stopping: asyncio.Event) -> None:
    while not stopping.is_set():
        with contextlib.suppress(GaveUp, Wrong):
            await write_logs(client, "free", 5)
        await pause(1 / rate, stopping)
