"""The process of the load: `python -m tests.chaos.loads OPTIONS`, where OPTIONS is one JSON document (control.py).

SIGUSR1: ask for nothing new; workers, subscribers and the webhook's receiver go on. SIGTERM: workers finish what they
have, then it ends with 0. Anything unforeseen ends it at once with 1 and a traceback.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from tests.chaos.ledger import Ledger
from tests.chaos.loads.client import Client
from tests.chaos.loads.emitters import Emitter, Stream, logs
from tests.chaos.loads.hooks import Hooks
from tests.chaos.loads.listeners import Subscriber
from tests.chaos.loads.shape import Shape
from tests.chaos.loads.takers import takes
from tests.chaos.loads.tasks import TaskWorker, delays
from tests.chaos.loads.workers import Asking, Post
from tests.chaos.loads.world import World, prepare, quiet

_SYNC_SECONDS = 1.0


class Load:
    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.shape = Shape(**options["shape"])
        directory = Path(options["directory"])
        self.ledger = Ledger(directory / "load.jsonl")
        self.calls = Ledger(directory / "calls.jsonl")
        self.seed = str(options["seed"])
        self.asked = asyncio.Event()  # nothing new from now on
        self.stopping = asyncio.Event()  # workers take nothing new
        self.ending = asyncio.Event()  # everything has been finished
        self.clients: list[Client] = []

    def client(self, name: str, worker: str = "") -> Client:
        draw = random.Random(f"{self.seed} {name} {len(self.clients)}")
        made = Client(
            self.options["url"],
            self.ledger,
            self.calls,
            draw,
            worker=worker,
            timeout=self.options["timeout"],
            lost=self.shape.lost,
        )
        self.clients.append(made)
        return made

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, self._phase, self.asked, "settling")
        loop.add_signal_handler(signal.SIGTERM, self._phase, self.stopping, "stopping")
        hooks = Hooks(self.ledger, random.Random(f"{self.seed} hooks"))
        world = await prepare(self.client("world"), self.shape, await hooks.start(), self.options["stock"])
        subscribers = [
            Subscriber(self.client(f"subscriber {number}"), f"sub-{number}", self.ending)
            for number in range(self.shape.subscribers)
        ]
        async with asyncio.TaskGroup() as background:
            for subscriber in subscribers:
                background.create_task(subscriber.run())
            for number in range(self.shape.task_workers):
                worker = TaskWorker(self.client(f"tasks {number}"), f"tw-{number}", self.ending, self.shape.mishaps)
                background.create_task(worker.run())
            await asyncio.gather(*(subscriber.ready.wait() for subscriber in subscribers))
            self.ledger.write("phase", name="running")
            async with asyncio.TaskGroup() as group:
                for part in [*self._asking(world), *self._workers()]:
                    group.create_task(part)
                await self.asked.wait()
                await quiet(self.client("quiet"))
                await self.stopping.wait()
            self.ledger.write("phase", name="ended")
            self.ending.set()
        for client in self.clients:
            await client.close()
        self.ledger.sync()

    def _phase(self, event: asyncio.Event, name: str) -> None:
        self.ledger.write("phase", name=name)
        event.set()
        self.asked.set()

    def _asking(self, world: World) -> list[Coroutine[Any, Any, None]]:
        shape, parts = self.shape, list[Coroutine[Any, Any, None]]()
        asking = Asking(self.client("asking"), world.flow_id, world["asked"], self.asked)
        if shape.requests:
            parts.append(asking.requests(shape.requests))
        for number in range(shape.scripts):
            script = Asking(self.client(f"script {number}"), world.flow_id, world["asked"], self.asked)
            parts.append(script.scripts())
        if shape.stream:
            parts.append(Stream(self.client("stream"), world.flow_id, shape.stream, self.asked).run())
        for number in range(shape.emitters):
            parts.append(Emitter(self.client(f"emitter {number}"), str(number), 5.0, self.asked).run())
        if shape.delayed:
            parts.append(delays(self.client("delays"), shape.delayed, self.asked))
        if shape.logs:
            parts.append(logs(self.client("logs"), shape.logs, self.asked))
        parts += [takes(self.client(f"taker {number}"), shape.mishaps, self.asked) for number in range(shape.takers)]
        return parts

    def _workers(self) -> list[Coroutine[Any, Any, None]]:
        return [
            Post(
                lambda name: self.client(name, worker=name),
                f"sim-{number}",
                room=self.shape.room,
                mishaps=self.shape.mishaps,
                asked=self.asked,
                stopping=self.stopping,
            ).run()
            for number in range(self.shape.workers)
        ]


def _keep_on_disk(*ledgers: Ledger) -> None:
    while True:
        time.sleep(_SYNC_SECONDS)
        for ledger in ledgers:
            ledger.sync()


async def main() -> None:
    load = Load(json.loads(sys.argv[1]))
    threading.Thread(target=_keep_on_disk, args=(load.ledger, load.calls), daemon=True).start()
    await load.run()


if __name__ == "__main__":
    asyncio.run(main())
