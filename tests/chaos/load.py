"""Bounded load over raw HTTP: lifecycles of runs, runners of deployments, takers of leases."""

from __future__ import annotations

import asyncio
import random
import threading
import time
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.chaos.api import REQUEST_SECONDS, Api, Json, Watch, pause
from tests.chaos.ledger import Ledger
from tests.support.events import task_run_event

LIMITED = "limited"
LEASES = "chaos-leases"
LEASE_SECONDS = 60  # the shortest the protocol allows
_PERIODS = (2, 3, 5)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How much of what. Zero leaves a part out."""

    lifecycles: int = 4  # clients that run one flow run after the other
    minutely: int = 0  # deployments with a cron schedule for every minute
    frequent: int = 0  # deployments with an interval of 2, 3 or 5 seconds
    runners: int = 0  # that poll for the runs of all deployments
    contenders: int = 0  # runs of one deployment that wait for its slots at any time
    slots: int = 3
    takers: int = 0  # of leases on one limit, 4 slots
    abandoned: int = 0  # leases never given back


@dataclass
class Gauge:
    """How many hold something at once, as the holders themselves know, and the most there ever were."""

    now: int = 0
    most: int = 0

    def __enter__(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)

    def __exit__(self, *_: object) -> None:
        self.now -= 1


@dataclass
class Load:
    """The load against one API until `stopping` is set; what is under way then ends."""

    api: Api
    shape: Shape
    draw: random.Random
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    slots: Gauge = field(default_factory=Gauge)
    leases: Gauge = field(default_factory=Gauge)
    flow_id: str = ""
    deployments: dict[str, str] = field(default_factory=dict)  # id -> name
    _claimed: set[str] = field(default_factory=set)

    async def run(self) -> None:
        await self._prepare()
        shape = self.shape
        parts: list[Coroutine[Any, Any, None]] = [self._lifecycles() for _ in range(shape.lifecycles)]
        parts += [self._runner() for _ in range(shape.runners)]
        parts += [self._contender() for _ in range(shape.contenders)]
        parts += [self._taker() for _ in range(shape.takers)]
        parts += [self._abandon() for _ in range(shape.abandoned)]
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part)

    async def _prepare(self) -> None:
        self.flow_id = (await self.api.post("/flows/", {"name": "chaos"})).json()["id"]
        for number in range(self.shape.minutely):
            await self._deploy(f"minutely-{number}", {"cron": "* * * * *", "timezone": "UTC"}, 60)
        for number in range(self.shape.frequent):
            seconds = _PERIODS[number % len(_PERIODS)]
            await self._deploy(f"frequent-{number}", {"interval": seconds, "timezone": "UTC"}, seconds)
        if self.shape.contenders:
            await self._deploy(LIMITED, None, 0, concurrency_limit=self.shape.slots)
        if self.shape.takers:
            limit = {"name": LEASES, "limit": 4}
            await self.api.post("/v2/concurrency_limits/", limit, expected=frozenset({409}))

    async def _deploy(self, name: str, schedule: Json | None, seconds: int, **more: object) -> None:
        schedules = [{"schedule": schedule, "active": True, "slug": "s"}] if schedule else []
        body = {"name": name, "flow_id": self.flow_id, "schedules": schedules, **more}
        deployment = (await self.api.post("/deployments/", body)).json()
        self.deployments[deployment["id"]] = name
        for made in deployment["schedules"]:
            self.api.ledger.write("schedule", id=made["id"], seconds=seconds, deployment=name)

    # -- runs from start to end

    async def _lifecycles(self) -> None:
        while not self.stopping.is_set():
            run = await self.api.create("/flow_runs/", {"flow_id": self.flow_id, "state": {"type": "PENDING"}})
            if await self.api.move(run["id"], "RUNNING"):
                self.api.ledger.write("executed", id=run["id"])
                await self._work(run["id"])
                await self.api.move(run["id"], self.draw.choice(("COMPLETED", "COMPLETED", "FAILED", "CRASHED")))
            await pause(self.draw.uniform(0.02, 0.1), self.stopping)

    async def _work(self, run_id: str) -> None:
        """Two tasks, told by events in random order, and two lines of log."""
        for number in range(2):
            task_id = uuid.uuid4()
            events = [
                task_run_event(
                    state, datetime.now(UTC), run_id=task_id, flow_run_id=uuid.UUID(run_id), dynamic_key=str(number)
                )
                for state in ("Pending", "Running", "Completed")
            ]
            self.draw.shuffle(events)
            await self.api.post("/events", events)
            for event in events:
                self.api.ledger.write("event", id=event["id"])
            self.api.ledger.write("task", id=task_id)
        messages = [f"{run_id} line {number}" for number in range(2)]
        stamp = datetime.now(UTC).isoformat()
        lines = [
            {"name": "chaos", "level": 20, "message": m, "timestamp": stamp, "flow_run_id": run_id} for m in messages
        ]
        await self.api.post("/logs/", lines)
        for message in messages:
            self.api.ledger.write("log", message=message)

    # -- deployments

    async def _runner(self) -> None:
        """Polls as a runner does; several of them see the same runs, and each run must be executed by one."""
        room = asyncio.Semaphore(8)
        async with asyncio.TaskGroup() as group:
            while not self.stopping.is_set():
                asked = {"deployment_ids": list(self.deployments), "scheduled_before": datetime.now(UTC).isoformat()}
                due = (await self.api.post("/deployments/get_scheduled_flow_runs", {**asked, "limit": 40})).json()
                self.draw.shuffle(due)
                for run in due[:16]:
                    group.create_task(self._execute(run, room))
                await pause(0.5, self.stopping)

    async def _execute(self, run: Json, room: asyncio.Semaphore) -> None:
        async with room:
            if not await self.api.move(run["id"], "PENDING"):
                return  # another runner has it, or there is no slot
            if not await self.api.move(run["id"], "RUNNING"):
                return
            self.api.ledger.write("executed", id=run["id"])
            if self.deployments[run["deployment_id"]] == LIMITED:
                with self.slots:
                    await pause(self.draw.uniform(0.1, 0.4))
            await self.api.move(run["id"], "COMPLETED")

    async def _contender(self) -> None:
        """Keeps one run of the limited deployment waiting or running."""
        deployment = next(id for id, name in self.deployments.items() if name == LIMITED)
        while not self.stopping.is_set():
            run = await self.api.create(f"/deployments/{deployment}/create_flow_run", {"state": {"type": "SCHEDULED"}})
            while not self.stopping.is_set() and not await self._ended(run["id"]):
                await pause(1.0, self.stopping)

    async def _ended(self, run_id: str) -> bool:
        criteria = {"flow_runs": {"id": {"any_": [run_id]}}}
        (run,) = (await self.api.post("/flow_runs/filter", criteria)).json()
        return run["state_type"] in ("COMPLETED", "CANCELLED", "FAILED", "CRASHED")

    # -- leases

    async def _taker(self) -> None:
        while not self.stopping.is_set():
            lease = await self._take()
            if lease is None:
                continue
            with self.leases:
                await self.api.post(f"/v2/concurrency_limits/leases/{lease}/renew", {"lease_duration": LEASE_SECONDS})
                await pause(self.draw.uniform(0.05, 0.3))
            await self.api.post("/v2/concurrency_limits/decrement-with-lease", {"lease_id": lease})
            self.api.ledger.write("returned", id=lease)

    async def _abandon(self) -> None:
        while not self.stopping.is_set() and (lease := await self._take()) is not None:
            self.api.ledger.write("abandoned", id=lease)
            return

    async def _take(self) -> str | None:
        body = {"slots": 1, "names": [LEASES], "mode": "concurrency", "lease_duration": LEASE_SECONDS}
        answer = await self.api.post("/v2/concurrency_limits/increment-with-lease", body, expected=frozenset({423}))
        if answer.status_code == 423:
            await pause(min(float(answer.headers["Retry-After"]), 1.0), self.stopping)
            return None
        lease: str = answer.json()["lease_id"]
        return lease


class BackgroundLoad:
    """The load in a thread with an event loop of its own. `finish` raises what went wrong in it."""

    def __init__(
        self,
        url: str,
        ledger: Ledger,
        shape: Shape,
        draw: random.Random,
        watch: Watch | None = None,
        *,
        timeout: float = REQUEST_SECONDS,
    ) -> None:
        # Called in the thread: what it makes belongs to the thread's event loop.
        self._make: Callable[[], Load] = lambda: Load(Api(url, ledger, watch, timeout=timeout), shape, draw)
        self._thread = threading.Thread(target=self._main, name="load", daemon=True)
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.load: Load | None = None
        self.failure: BaseException | None = None
        self.seconds = 0.0

    def start(self) -> BackgroundLoad:
        self._thread.start()
        assert self._started.wait(20), "the load did not start"
        return self

    def finish(self, timeout: float) -> Load:
        """Ask it to end, wait until what is under way has ended, and return it."""
        assert self.load is not None
        assert self._loop is not None
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self.load.stopping.set)
        self._thread.join(timeout)
        if self.failure:
            raise self.failure
        assert not self._thread.is_alive(), f"the load did not end within {timeout:g} s"
        return self.load

    def running(self) -> bool:
        return self._thread.is_alive()

    def _main(self) -> None:
        began = time.monotonic()
        try:
            asyncio.run(self._run())
        except BaseException as error:
            self.failure = error
        self.seconds = time.monotonic() - began

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.load = self._make()
        self._started.set()
        try:
            await self.load.run()
        finally:
            await self.load.api.http.aclose()
