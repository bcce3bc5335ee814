"""Simulated workers: they poll, claim, run, beat, log and report as real ones do, and some of them come to grief."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.chaos.loads import channel
from tests.chaos.loads.client import Client, GaveUp, Json, Wrong
from tests.chaos.loads.shape import BEAT_SECONDS, SILENCE_SECONDS, WORKER_BEAT_SECONDS
from tests.chaos.loads.world import POOL
from tests.support.events import an_event, task_run_event

FINAL = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})
_POLL_SECONDS = 1.5
_AHEAD = timedelta(seconds=1)
_MISHAP_SECONDS = 60.0  # from one mishap of a worker to the next


class Dead(Exception):
    """The process that had a run is gone: nothing more is said."""


@dataclass
class Chances:
    """How likely each fate of a run is; `mishaps` multiplies the first two."""

    die: float = 0.015  # its process vanishes while its worker lives on and does not notice
    crash: float = 0.02  # its process ends and its worker says so
    fail: float = 0.06
    long: float = 0.05  # runs for several heartbeats

    def draw(self, draw: random.Random, mishaps: float) -> str:
        point = draw.random()
        for name, chance in vars(self).items():
            point -= chance * (mishaps if name in ("die", "crash") else 1.0)
            if point < 0:
                return name
        return "fine"


@dataclass
class Execution:
    """One run in the hands of one worker, from the claim to the last report."""

    client: Client
    run: Json
    fate: str
    attempts: int = 0
    attempt: str = ""  # while the body runs
    pid: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    @property
    def id(self) -> str:
        return str(self.run["id"])

    def note(self, kind: str, **facts: object) -> None:
        self.client.ledger.write(kind, id=self.id, worker=self.client.worker, process=self.client.process, **facts)

    async def whole(self) -> None:
        """As a worker and then the process it starts do it."""
        if not (await self.client.propose(self.id, "PENDING"))["ok"]:
            return  # another worker has it, or there is no slot
        submitted = an_event(
            "prefect.worker.submitted-flow-run", f"prefect.worker.process.{self.client.worker}",
            related=[self._related()],
        )  # fmt: skip
        await self.emit([submitted])
        await self.client.propose(self.id, "PENDING", "Submitting")
        await asyncio.sleep(self.client.draw.uniform(0.2, 1.2))  # a process starts
        await self.body()

    async def body(self) -> None:
        """The run's own process: Running, work, the end; and again if the server says so."""
        while True:
            answer = await self.client.propose(self.id, "RUNNING")
            state = answer["state"] or {}
            if not answer["ok"]:
                if answer["status"] == "REJECT" and state.get("type") == "PENDING":
                    await asyncio.sleep(0.2)
                    continue
                self.note("not_begun", status=answer["status"], type=state.get("type"))
                return
            self.attempts += 1
            self.attempt = state["id"]
            self.note("begin", attempt=self.attempt)
            outcome = await self.work()
            self.ended(outcome)
            if not await self.report(outcome):
                return

    def ended(self, outcome: str) -> None:
        """The body is over, if it ever began."""
        if self.attempt:
            self.note("end", attempt=self.attempt, outcome=outcome)
            self.attempt = ""

    async def report(self, outcome: str) -> bool:
        """Tell how it ended; whether it is to be run again."""
        answer = await self.client.propose(self.id, outcome)
        if answer["ok"]:
            return False
        state = answer["state"] or {}
        if answer["status"] == "REJECT" and state.get("type") == "CANCELLING":
            await self.client.propose(self.id, "CANCELLED")
        self.note("overruled", outcome=outcome, status=answer["status"], type=state.get("type"))
        return bool(answer["status"] == "REJECT" and state.get("type") == "SCHEDULED")

    async def work(self) -> str:
        """The body. Beats twice at once, so that the server knows how often to expect it."""
        draw = self.client.draw
        left = draw.uniform(8.0, 14.0) if self.fate == "long" else draw.uniform(0.2, 2.5)
        task = asyncio.create_task(self._tell())
        try:
            for pause in (0.1, 0.3):
                await self.beat()
                await asyncio.sleep(pause)
            if self.fate == "die" and self.attempts == 1:
                raise Dead
            while left > 0:
                step = min(left, BEAT_SECONDS)
                await asyncio.sleep(step)
                left -= step
                if left > 0:
                    await self.beat()
                    if await self._cancelled():
                        return "CANCELLED"
            await task
        finally:
            task.cancel()
        if await self._cancelled():
            return "CANCELLED"
        if self.attempts > 2:
            return "COMPLETED"
        return {"fail": "FAILED", "crash": "CRASHED"}.get(self.fate, "COMPLETED")

    async def beat(self) -> None:
        sent = time.time()
        await self.emit([an_event("prefect.flow-run.heartbeat", f"prefect.flow-run.{self.id}")])
        self.note("beat", sent=sent)

    async def emit(self, events: list[Json]) -> None:
        await self.client.post("/events", events)
        for event in events:
            self.client.ledger.write("event", id=event["id"])

    async def _cancelled(self) -> bool:
        run = (await self.client.get(f"/flow_runs/{self.id}")).json()
        return bool(run["state"]["type"] == "CANCELLING")

    async def _tell(self) -> None:
        """One task, told by events in any order, and some lines of log."""
        task_id, key = uuid.uuid4(), uuid.uuid4().hex
        events = [
            task_run_event(state, datetime.now(UTC), run_id=task_id, flow_run_id=uuid.UUID(self.id), dynamic_key=key)
            for state in ("Pending", "Running", "Completed")
        ]
        for event, later in zip(events, (0, 1, 2), strict=True):
            event["occurred"] = (datetime.now(UTC) + timedelta(milliseconds=later)).isoformat()
        self.client.draw.shuffle(events)
        await self.emit(events)
        self.client.ledger.write("task", id=task_id)
        await write_logs(self.client, f"{self.id} {self.pid}", 2, self.id)

    def _related(self) -> Json:
        return {"prefect.resource.id": f"prefect.flow-run.{self.id}", "prefect.resource.role": "flow-run"}


async def write_logs(client: Client, prefix: str, count: int, run_id: str | None = None) -> None:
    stamp = datetime.now(UTC).isoformat()
    messages = [f"{prefix} {uuid.uuid4().hex}" for _ in range(count)]
    lines = [
        {"name": "storm", "level": 20, "message": text, "timestamp": stamp, "flow_run_id": run_id} for text in messages
    ]
    await client.post("/logs/", lines)
    for text in messages:
        client.ledger.write("log", message=text)


class Worker:
    """Polls one pool until `stopping` is set; then finishes what it has. Dies or stands still when told to."""

    def __init__(
        self,
        client: Client,
        *,
        by_channel: bool,
        room: int,
        mishaps: float,
        asked: asyncio.Event,
        stopping: asyncio.Event,
    ) -> None:
        self.client = client
        self._by_channel = by_channel
        self._room = room
        self._mishaps = mishaps
        self._asked = asked  # nobody dies any more
        self._stopping = stopping
        self._held: dict[str, Execution] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._chances = Chances()

    async def run(self) -> None:
        beats = asyncio.create_task(self._beats())
        try:
            while not self._stopping.is_set():
                for run in await self._due():
                    if run["id"] not in self._held and len(self._held) < self._room:
                        self._begin(run)
                await pause(_POLL_SECONDS * self.client.draw.uniform(0.75, 1.3), self._stopping)
            while self._tasks:
                await asyncio.gather(*self._tasks)
        finally:
            for task in (*self._tasks, beats):
                task.cancel()
            await asyncio.gather(*self._tasks, beats, return_exceptions=True)

    def lose(self) -> None:
        """What it had is gone with it. `run` must be cancelled at once."""
        for execution in self._held.values():
            execution.note("died", when="worker")
            execution.ended("died")

    async def freeze(self, seconds: float) -> None:
        """Stand still, then go on as if nothing had happened."""
        for id, execution in self._held.items():
            self.client.ledger.write("froze", id=id, worker=self.client.worker, attempt=execution.attempt)
        self.client.awake.clear()
        await asyncio.sleep(seconds)
        self.client.ledger.write("thawed", worker=self.client.worker)
        self.client.awake.set()

    def _begin(self, run: Json) -> None:
        fate = self._chances.draw(self.client.draw, 0.0 if self._asked.is_set() else self._mishaps)
        self._held[run["id"]] = execution = Execution(self.client, run, fate)
        task = asyncio.create_task(self._execute(execution))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _execute(self, execution: Execution) -> None:
        try:
            await execution.whole()
        except Dead:
            execution.note("died", when="process")
            execution.ended("died")
        except (GaveUp, Wrong) as error:
            execution.note("died", when=f"{type(error).__name__}: {error}")
            execution.ended("died")
        finally:
            del self._held[execution.id]

    async def _due(self) -> list[Json]:
        free = self._room - len(self._held)
        if free <= 0:
            return []
        stamp = str(datetime.now(UTC) + _AHEAD)
        body = {"work_queue_names": [], "scheduled_before": stamp, "limit": free * 2}
        try:
            found = (await self.client.post(f"/work_pools/{POOL}/get_scheduled_flow_runs", body)).json()
        except (GaveUp, Wrong):
            return []  # a poll that failed: the real one tolerates several of them
        runs = [one["flow_run"] for one in found]
        self.client.draw.shuffle(runs)
        return runs[:free]

    async def _beats(self) -> None:
        if self._by_channel:
            return await channel.keep(self.client, POOL)
        body = {"name": self.client.worker, "heartbeat_interval_seconds": WORKER_BEAT_SECONDS}
        while True:
            sent = time.time()
            try:
                await self.client.post(f"/work_pools/{POOL}/workers/heartbeat", body)
                self.client.ledger.write("worker_beat", process=self.client.process, sent=sent)
            except (GaveUp, Wrong):
                pass
            await asyncio.sleep(WORKER_BEAT_SECONDS * self.client.draw.uniform(0.75, 1.3))


class Post:
    """A worker's post: one worker after the other. Each dies, or stands still for a while, after some minutes.

    Most speak over the channel; of those the next may come under the same name, and only its id is new.
    """

    def __init__(
        self,
        make: Callable[[str], Client],
        name: str,
        *,
        room: int,
        mishaps: float,
        asked: asyncio.Event,
        stopping: asyncio.Event,
    ) -> None:
        self._make = make
        self._name = name
        self._options: dict[str, Any] = {"room": room, "mishaps": mishaps, "asked": asked, "stopping": stopping}
        self._mishaps = mishaps
        self._asked = asked

    async def run(self) -> None:
        number, name = 0, self._name
        while True:
            number += 1
            client = self._make(name)
            by_channel = client.draw.random() < 0.7
            worker = Worker(client, by_channel=by_channel, **self._options)
            working = asyncio.create_task(worker.run())
            if not await self._fate(worker, working):
                return await working
            worker.lose()
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            await pause(client.draw.uniform(0.5, 8.0), self._asked)
            if not by_channel or client.draw.random() < 0.5:
                name = f"{self._name}-{number}"

    async def _fate(self, worker: Worker, working: asyncio.Task[None]) -> bool:
        """Wait until it dies; False: it will not any more."""
        draw = worker.client.draw
        while self._mishaps and not self._asked.is_set() and not working.done():
            await pause(draw.expovariate(self._mishaps / _MISHAP_SECONDS) + 3.0, self._asked)
            if self._asked.is_set() or working.done():
                break
            if draw.random() < 0.5:
                return True
            await worker.freeze(draw.uniform(0.5, 3.0) * SILENCE_SECONDS)
        return False


async def pause(seconds: float, until: asyncio.Event) -> None:
    """Wait `seconds`, or until the event is set."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await until.wait()
    except TimeoutError:
        return


class Asking:
    """Asks for runs, some with retries; cancels some of what was asked for; runs scripts without deployment."""

    def __init__(self, client: Client, flow_id: str, deployment: str, stopping: asyncio.Event) -> None:
        self._client = client
        self._flow_id = flow_id
        self._deployment = deployment
        self._stopping = stopping
        self._recent: list[str] = []

    async def requests(self, rate: float) -> None:
        draw = self._client.draw
        while not self._stopping.is_set():
            body: dict[str, Any] = {"state": {"type": "SCHEDULED"}}
            if draw.random() < 0.5:
                body["empirical_policy"] = {"retries": 2, "retry_delay": 1}
            try:
                run = await self._client.create(f"/deployments/{self._deployment}/create_flow_run", body)
                self._recent.append(run["id"])
                if draw.random() < 0.3:
                    await self.cancel(draw.choice(self._recent[-5:]))
            except (GaveUp, Wrong):
                pass
            await pause(draw.expovariate(rate), self._stopping)

    async def cancel(self, run_id: str) -> None:
        answer = await self._client.propose(run_id, "CANCELLING")
        state = answer["state"] or {}
        self._client.ledger.write("cancel", id=run_id, status=answer["status"], type=state.get("type"))

    async def scripts(self) -> None:
        """One flow after the other, as a script runs them."""
        while not self._stopping.is_set():
            try:
                body = {"flow_id": self._flow_id, "state": {"type": "PENDING"}}
                run = await self._client.create("/flow_runs/", body)
                await Execution(self._client, run, "fine").body()
            except (GaveUp, Wrong):
                pass
            await pause(self._client.draw.uniform(0.5, 1.5), self._stopping)
