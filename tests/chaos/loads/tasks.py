"""Background tasks: asked for by POST, delivered over subscriptions, told by events."""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import UTC, datetime

from tests.chaos.loads.client import Client, GaveUp, Json, Wrong
from tests.chaos.loads.sockets import Broken, answered, connected, note_end
from tests.chaos.loads.workers import pause
from tests.support.events import task_run_event

KEY = "storm-task"
_AGAIN_SECONDS = 0.5


async def delays(client: Client, rate: float, stopping: asyncio.Event) -> None:
    """What `.delay()` does."""
    while not stopping.is_set():
        id = str(uuid.uuid4())
        details = {"deferred": True, "task_parameters_id": str(uuid.uuid4())}
        body = {
            "id": id, "name": "t", "task_key": KEY, "dynamic_key": uuid.uuid4().hex, "flow_run_id": None,
            "state": {"type": "SCHEDULED", "state_details": details},
        }  # fmt: skip
        try:
            await client.post("/task_runs/", body)
            client.ledger.write("delayed", id=id)
        except (GaveUp, Wrong):
            pass
        await pause(client.draw.expovariate(rate), stopping)


class TaskWorker:
    """One connection after the other, one task run after the other; dies now and then between two of them."""

    def __init__(self, client: Client, name: str, ending: asyncio.Event, mishaps: float) -> None:
        self._client = client
        self._name = name
        self._ending = ending
        self._mishaps = mishaps

    async def run(self) -> None:
        ended = asyncio.create_task(self._ending.wait())
        while not self._ending.is_set():
            serving = asyncio.create_task(self._serve(uuid.uuid4().hex))
            await asyncio.wait({serving, ended}, return_when=asyncio.FIRST_COMPLETED)
            if self._ending.is_set():
                serving.cancel()
            result = (await asyncio.gather(serving, return_exceptions=True))[0]
            if isinstance(result, Broken):
                note_end(self._client.ledger, "subscriptions/scheduled", result)
            elif isinstance(result, BaseException) and not self._ending.is_set():
                raise result
            if not self._ending.is_set():
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _serve(self, connection: str) -> None:
        draw, ledger = self._client.draw, self._client.ledger
        async with connected(self._client.url, "/task_runs/subscriptions/scheduled") as socket:
            await socket.send(json.dumps({"type": "subscribe", "keys": [KEY], "client_id": f"{self._name}-1"}))
            while True:
                run: Json = json.loads(await socket.recv())
                if draw.random() < 0.02 * self._mishaps:
                    return  # closed without an acknowledgement: somebody else gets it
                await socket.send(json.dumps({"type": "ack"}))
                ledger.write("given", id=run["id"], connection=connection)
                for name in ("Pending", "Running"):
                    await self._tell(run, name)
                await asyncio.sleep(draw.uniform(0.05, 0.5))
                await self._tell(run, "Completed")
                # A pong says that the connection was whole after the acknowledgement had been sent.
                await answered(socket, 30.0)
                ledger.write("lasted", connection=connection, id=run["id"])

    async def _tell(self, run: Json, name: str) -> None:
        event = task_run_event(
            name, datetime.now(UTC), run_id=uuid.UUID(run["id"]), flow_run_id=None,
            dynamic_key=run["dynamic_key"], task_key=KEY,
        )  # fmt: skip
        try:
            await self._client.post("/events", [event])
            self._client.ledger.write("event", id=event["id"])
        except (GaveUp, Wrong):
            pass
