"""Subscribers of the live feed, which come back after a break and ask for what they may have missed."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

from tests.chaos.loads.client import Client
from tests.chaos.loads.sockets import Broken, connected, note_end

_OVERLAP = timedelta(seconds=60)
_AGAIN_SECONDS = 0.5


class Subscriber:
    """Sees every `load.*` event from its first connection on. `latest`: occurred of the latest event seen."""

    def __init__(self, client: Client, name: str, ending: asyncio.Event) -> None:
        self._client = client
        self._name = name
        self._ending = ending
        self._known: set[str] = set()
        self.latest = datetime.now(UTC)
        self.ready = asyncio.Event()

    async def run(self) -> None:
        ended = asyncio.create_task(self._ending.wait())
        while not self._ending.is_set():
            listening = asyncio.create_task(self._listen())
            await asyncio.wait({listening, ended}, return_when=asyncio.FIRST_COMPLETED)
            listening.cancel()
            result = (await asyncio.gather(listening, return_exceptions=True))[0]
            if self._ending.is_set():
                return
            if not isinstance(result, Broken):
                raise AssertionError(f"subscriber {self._name} ended: {result!r}")
            note_end(self._client.ledger, "events/out", result)
            self._client.ledger.write("cut", sub=self._name, error=repr(result)[:100])
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _listen(self) -> None:
        since = (self.latest - _OVERLAP).isoformat()
        until = (datetime.now(UTC) + timedelta(days=365)).isoformat()
        criteria = {"occurred": {"since": since, "until": until}, "event": {"prefix": ["load."]}, "order": "DESC"}
        async with connected(self._client.url, "/events/out") as socket:
            await socket.send(json.dumps({"type": "filter", "filter": {**criteria, "id": {"id": []}}}))
            self._client.ledger.write("subscribed", sub=self._name, since=since)
            self.ready.set()
            while True:
                event = json.loads(await socket.recv())["event"]
                if event["id"] not in self._known:
                    self._known.add(event["id"])
                    self.latest = max(self.latest, datetime.fromisoformat(event["occurred"]))
                    self._client.ledger.write("seen", sub=self._name, id=event["id"])
