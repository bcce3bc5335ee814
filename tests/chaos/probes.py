"""Independent probes of the service itself: when was a write accepted, a schedule kept, an automation carried out, and
when did each background service last complete a round. They run all the time, whatever the load does."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import threading
import time
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import httpx

from sempre.server.services.registry import SERVICES
from sempre.server.settings import load_settings
from tests.chaos.ledger import Ledger
from tests.chaos.loads.client import Client, GaveUp
from tests.chaos.stage import Stage
from tests.support.events import an_event
from tests.support.wait import eventually

SLOT_SECONDS = 2
_FAR = "2999-01-01T00:00:00Z"
_TIMEOUT = 3.0
# A round that should have come and did not: what a service may be late before anybody calls it an interruption.
_SLACK = {"writes": 1.0, "schedules": SLOT_SECONDS + 2.0, "automations": 3.0}
_ROUND_SLACK = 4.0
_LONGEST_INTERVAL = 20.0

_ROUNDS = "SELECT name, extract(epoch FROM completed)::float8 AS completed FROM service WHERE completed IS NOT NULL"
_DONE = """
SELECT f.firing->'triggering_event'->>'id' AS event
FROM automation_action a JOIN automation_firing f ON f.id = a.firing_id
WHERE f.automation_id = $1 AND a.status = 'done' AND f.fired_at > clock_timestamp() - interval '3 minutes'
"""


_OF_THE_DRIVER = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)  # a connection that dies
Act = Callable[[Client], Coroutine[Any, Any, None]]


class Struck(Protocol):
    """What is asked of a strike (storm.py)."""

    struck: float


@dataclass
class Pulse:
    """Successes of one probe: (when it began, when it was over), epoch seconds, in the order of their ends."""

    slack: float
    beats: list[tuple[float, float]] = field(default_factory=list)

    def beat(self, began: float) -> None:
        self.beats.append((began, time.time()))

    def alive(self, since: float) -> bool:
        return any(began >= since for began, _ in self.beats[-50:])

    def recovery(self, strike: Struck, since: float) -> float:
        """Seconds from `since` to the end of the last silence after the strike. Ask before the next strike."""
        ends = [ended for _, ended in self.beats]
        worst = 0.0
        for before, after in itertools.pairwise(ends):
            if after - before > self.slack and after > strike.struck:
                worst = max(worst, after - max(since, before))
        return round(worst, 2)


class Probes:
    """Start them in calm weather; they make what they need. `late`: seconds of lateness by probe."""

    def __init__(self, stage: Stage, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.stage = stage
        self.ledger = Ledger(directory / "probes.jsonl")
        self.calls = Ledger(directory / "probe-calls.jsonl")
        self.pulses = {name: Pulse(slack) for name, slack in _SLACK.items()}
        self.intervals: dict[str, float] = {}
        self.late: dict[str, list[tuple[float, float]]] = {"schedules": [], "automations": []}
        self.refused: list[str] = []
        """Answers of the write probe other than a success, with their time."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._main, name="probes", daemon=True)
        self._failure: BaseException | None = None
        self._sent: dict[str, float] = {}
        self._claimed: set[str] = set()
        self._automation = ""
        self._flow = ""
        self._name = f"probe-{uuid.uuid4().hex[:8]}"  # several may come one after the other
        self._deployment = ""

    def start(self) -> Probes:
        self.intervals = _intervals(self.stage.services[0].env)
        for name, interval in self.intervals.items():
            self.pulses[f"round of {name}"] = Pulse(interval + _ROUND_SLACK)
        self._thread.start()
        eventually(lambda: self._check() and all(pulse.beats for pulse in self.pulses.values()), "probes beat", 60,
                   detail=lambda: [name for name, pulse in self.pulses.items() if not pulse.beats])  # fmt: skip
        return self

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(120)
        self._check()
        assert not self._thread.is_alive(), "the probes did not end"

    def names(self) -> list[str]:
        return list(self.pulses)

    def alive(self, name: str, since: float) -> bool:
        """Whether something that began after `since` succeeded."""
        self._check()
        return self.pulses[name].alive(since)

    def recovery(self, strike: Struck, since: float) -> dict[str, float]:
        """By probe the seconds from `since`; rounds of services are one figure, that of the slowest."""
        found = {name: pulse.recovery(strike, since) for name, pulse in self.pulses.items()}
        rounds = [seconds for name, seconds in found.items() if name.startswith("round of ")]
        plain = {name: seconds for name, seconds in found.items() if not name.startswith("round of ")}
        return {**plain, "rounds": max(rounds, default=0.0)}

    def latest(self, name: str, since: float, until: float | None = None) -> float:
        """The greatest lateness of what was due between the two moments."""
        return max((late for due, late in self.late[name] if since <= due <= (until or time.time())), default=0.0)

    # -- the thread

    def _check(self) -> bool:
        if self._failure:
            raise AssertionError(f"the probes failed: {self._failure!r}") from self._failure
        return True

    def _main(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:
            self._failure = error

    async def _run(self) -> None:
        client = Client(self.stage.api_url, self.ledger, self.calls, random.Random(0), timeout=10.0)
        try:
            await self._prepare(client)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._every(0.25, self._write, group, client))
                group.create_task(self._every(0.4, self._poll, group, client))
                group.create_task(self._every(1.0, self._ping, group, client))
                group.create_task(self._watch())
            # Slots that nobody keeps any more would be missed by the auditor.
            await client.post(f"/deployments/{self._deployment}/pause_deployment", {})
        finally:
            await client.close()

    async def _prepare(self, client: Client) -> None:
        name = self._name
        self._flow = (await client.post("/flows/", {"name": name})).json()["id"]
        schedule = {"schedule": {"interval": SLOT_SECONDS, "timezone": "UTC"}, "active": True, "slug": "s"}
        body = {"name": name, "flow_id": self._flow, "schedules": [schedule]}
        self._deployment = (await client.post("/deployments/", body)).json()["id"]
        trigger = {"type": "event", "posture": "Reactive", "expect": [name], "threshold": 1, "within": 0}
        automation = {"name": name, "trigger": trigger, "actions": [{"type": "do-nothing"}]}
        self._automation = (await client.post("/automations/", automation)).json()["id"]

    async def _every(self, seconds: float, act: Act, group: asyncio.TaskGroup, client: Client) -> None:
        """Begin one every so often, whether or not the last ones are over."""
        pending: set[asyncio.Task[None]] = set()
        while not self._stopping.is_set():
            if len(pending) < 40:
                task = group.create_task(act(client))
                pending.add(task)
                task.add_done_callback(pending.discard)
            await asyncio.sleep(seconds)

    async def _write(self, client: Client) -> None:
        began = time.time()
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": _FAR}}
        body = {"flow_id": self._flow, "state": state, "idempotency_key": uuid.uuid4().hex}
        try:
            answer = await client.http.post("/flow_runs/", json=body, timeout=_TIMEOUT)
        except httpx.TransportError as error:
            self.refused.append(f"{began:.1f} {type(error).__name__}")
            return
        if answer.is_success:
            self.ledger.write("created", id=answer.json()["id"])
            self.pulses["writes"].beat(began)
        else:
            self.refused.append(f"{began:.1f} {answer.status_code} {answer.text[:200]}")

    async def _poll(self, client: Client) -> None:
        asked = {"deployment_ids": [self._deployment], "scheduled_before": datetime.now(UTC).isoformat(), "limit": 50}
        try:
            answer = await client.http.post("/deployments/get_scheduled_flow_runs", json=asked, timeout=_TIMEOUT)
        except httpx.TransportError:
            return
        if not answer.is_success:
            return
        due = [run for run in answer.json() if run["id"] not in self._claimed]
        self._claimed.update(run["id"] for run in due)
        await asyncio.gather(*(self._keep(client, run) for run in due))

    async def _keep(self, client: Client, run: dict[str, Any]) -> None:
        """Carry out the run of one slot."""
        due = datetime.fromisoformat(run["next_scheduled_start_time"]).timestamp()
        if not (await self._surely(client, run["id"], "PENDING"))["ok"]:
            self._claimed.discard(run["id"])
            return
        self.late["schedules"].append((due, time.time() - due))
        self.pulses["schedules"].beat(due)
        began = await self._surely(client, run["id"], "RUNNING")
        if not began["ok"]:
            self._claimed.discard(run["id"])  # it was taken back meanwhile
            return
        facts = {"id": run["id"], "attempt": began["state"]["id"], "worker": "probe", "process": "probe"}
        self.ledger.write("begin", **facts)
        self.ledger.write("end", outcome="COMPLETED", **facts)
        await self._surely(client, run["id"], "COMPLETED")

    async def _surely(self, client: Client, run_id: str, type: str) -> dict[str, Any]:
        """However long it takes: a run that a probe left behind would be found by the auditor."""
        while True:
            with contextlib.suppress(GaveUp):
                return await client.propose(run_id, type)

    async def _ping(self, client: Client) -> None:
        event = an_event(self._name, "probe")
        identity, began = str(event["id"]), time.time()
        with contextlib.suppress(GaveUp):
            await client.post("/events", [event])
            self.ledger.write("event", id=identity)
            self._sent[identity] = began

    async def _watch(self) -> None:
        """Reads the database: a probe that asked the API would measure the API."""
        completed: dict[str, float] = {}
        while not self._stopping.is_set():
            with contextlib.suppress(OSError, *_OF_THE_DRIVER):
                connection = await asyncpg.connect(self.stage.database.url, timeout=_TIMEOUT, command_timeout=_TIMEOUT)
                try:
                    while not self._stopping.is_set():
                        await self._look(connection, completed)
                        await asyncio.sleep(0.4)
                finally:
                    connection.terminate()
            await asyncio.sleep(0.2)

    async def _look(self, connection: Any, completed: dict[str, float]) -> None:
        for row in await connection.fetch(_ROUNDS):
            name, last = row["name"], row["completed"]
            if last > completed.get(name, 0.0) and f"round of {name}" in self.pulses:
                completed[name] = last
                self.pulses[f"round of {name}"].beats.append((last, last))
        for row in await connection.fetch(_DONE, uuid.UUID(self._automation)):
            sent = self._sent.pop(row["event"], None)
            if sent is not None:
                self.late["automations"].append((sent, time.time() - sent))
                self.pulses["automations"].beat(sent)


def _intervals(env: dict[str, str]) -> dict[str, float]:
    """Seconds between rounds of the services that come often enough to be watched, with the stage's settings."""
    settings = load_settings(env)
    periodic = [service for service in SERVICES if service.enabled(settings) and not service.continuous]
    intervals = {service.name: service.interval(settings) for service in periodic}
    return {name: interval for name, interval in intervals.items() if interval <= _LONGEST_INTERVAL}
