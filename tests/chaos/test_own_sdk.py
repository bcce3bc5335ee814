"""A flow of our own SDK while the API is away and its process is killed: no task whose result was kept runs again, and
what was journaled arrives, once and in order."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.chaos.auditor import audit, settled
from tests.chaos.ledger import Entries
from tests.chaos.plan import in_full_form, say
from tests.support.database import Database
from tests.support.prefect_env import ROOT
from tests.support.processes import ManagedProcess
from tests.support.runs import open_api
from tests.support.servers import SempreServer, sempre_environment
from tests.support.wait import eventually

pytestmark = [pytest.mark.chaos, in_full_form]

FLOW = Path(__file__).parent / "flows" / "own.py"
WIDTH = 8
ROUNDS = 40
OUTAGE = 300.0
END_SECONDS = 240.0

_OUT_OF_ORDER = """
SELECT resource_id, array_agg(event ORDER BY seq) AS stored FROM event
WHERE event LIKE 'prefect.task-run.%' GROUP BY resource_id
HAVING array_agg(id ORDER BY seq) <> array_agg(id ORDER BY occurred, seq)
"""
_TWICE = "SELECT message, count(*) AS times FROM log WHERE message LIKE 'round %' GROUP BY 1 HAVING count(*) > 1"
_TASK_RUNS = """
SELECT id::text, name, state_type, state_name FROM task_run WHERE flow_run_id = $1::text::uuid
"""


class Journey:
    """One run of the flow, executed by process after process of one home."""

    def __init__(self, server: SempreServer, database: Database, workdir: Path) -> None:
        self.server = server
        self.database = database
        self.workdir = workdir
        self.ledger = workdir / "ledger.jsonl"
        self.home = workdir / "player"
        self.run = ""

    def schedule(self, api: httpx.Client) -> None:
        """Create the run, or have it run again after its process has died, as somebody does who starts one for it."""
        if self.run:
            self._enter(api, "SCHEDULED", force=True)
        else:
            flow = api.post("/flows/", json={"name": "chaos-own"}).raise_for_status().json()["id"]
            new = {"flow_id": flow, "parameters": {"rounds": ROUNDS}, "state": {"type": "SCHEDULED"}}
            self.run = str(api.post("/flow_runs/", json=new).raise_for_status().json()["id"])
        self._enter(api, "PENDING")

    def _enter(self, api: httpx.Client, type: str, force: bool = False) -> None:
        body = {"state": {"type": type}, "force": force}
        api.post(f"/flow_runs/{self.run}/set_state", json=body).raise_for_status()

    def execute(self, name: str) -> ManagedProcess:
        env = sempre_environment(self.home, None, None) | {
            "SEMPRE_API_URL": self.server.api_url,
            "SEMPRE__FLOW_ENTRYPOINT": f"{FLOW}:journey",
            "SEMPRE_TEST_LEDGER": str(self.ledger),
            "SEMPRE_LOGGING_TO_API_BATCH_INTERVAL_SECONDS": "0.2",
        }
        argv = [sys.executable, "-m", "sempre.sdk.execute", self.run]
        return ManagedProcess.start(name, argv, log_dir=self.workdir, env=env, cwd=ROOT)

    def entries(self) -> Entries:
        return Entries.of(self.ledger)

    def journaled(self, *texts: str) -> bool:
        """Whether the records with these texts are on disk, where a kill leaves them."""
        files = [path.read_bytes() for path in self.home.glob("journal/*/*/*") if path.is_file()]
        return all(any(text.encode() in content for content in files) for text in texts)

    def history(self) -> list[str]:
        sql = "SELECT name FROM flow_run_state WHERE flow_run_id = $1::text::uuid ORDER BY timestamp"
        return [row["name"] for row in self.database.fetch(sql, self.run)]

    def task_runs(self) -> list[dict[str, Any]]:
        return self.database.fetch(_TASK_RUNS, self.run)


@pytest.fixture
def journey(database: Database, workdir: Path) -> Iterator[Journey]:
    server = SempreServer(workdir, database=database)
    server.start()
    yield Journey(server, database, workdir)
    server.stop()


def test_killed_while_the_api_is_away_and_taken_up_again(journey: Journey) -> None:
    with open_api(journey.server.api_url) as api:
        journey.schedule(api)
    first = journey.execute("first")
    first.wait_for(lambda: len(journey.entries().of_kind("log")) >= 1, "a round is over")
    journey.server.kill()
    first.wait_for(lambda: journey.entries().of_kind("gate"), "the flow goes on without its API", END_SECONDS)
    (waiting,) = journey.entries().values("gate")
    last = journey.entries().values("log", "message")[-1]
    first.wait_for(lambda: journey.journaled(waiting, last), "what was told is on disk")
    first.kill()
    before = journey.entries()

    journey.server.start()
    with open_api(journey.server.api_url) as api:
        journey.schedule(api)
    journey.ledger.with_name("gate").touch()
    second = journey.execute("second")
    second.wait_for(lambda: len(journey.entries().of_kind("log")) >= len(before.of_kind("log")) + 1, "it goes on")
    journey.server.kill()
    began = time.monotonic()
    eventually(lambda: time.monotonic() - began > OUTAGE, "the outage is over", OUTAGE + 5)
    journey.server.start()
    assert second.wait(END_SECONDS) == 0, second.tail()
    check(journey, before)


def check(journey: Journey, before: Entries) -> None:
    entries, database = journey.entries(), journey.database
    eventually(lambda: settled(database), "the recorder has read the whole log", 60)
    count = ROUNDS * WIDTH
    numbers = Counter(line["number"] for line in entries.of_kind("body"))
    assert numbers == dict.fromkeys(range(count), 1), "each task whose result was kept ran once"
    assert Counter(line["number"] for line in entries.of_kind("refused")) == dict.fromkeys(range(0, count, 4), 1)
    assert len(entries.of_kind("gate")) == 2, "the one task that was running when the process was killed"
    committed = {number for number in range(ROUNDS) if number % 3 != 2}
    staged = Counter((line["number"], line["part"]) for line in entries.of_kind("staged"))
    assert all(staged[number, part] == 1 for number in committed for part in "ab"), staged
    assert [line["value"] for line in entries.of_kind("result")] == [sum(range(count))]

    assert journey.history()[-1] == "Completed"
    assert journey.history().count("Running") == 2
    runs = {row["id"]: row for row in journey.task_runs()}
    executed = {line["id"] for line in entries.of_kind("body")}
    assert {runs[id]["state_type"] for id in executed} == {"COMPLETED"}
    killed, passed = entries.values("gate")
    assert runs[killed]["state_type"] != "COMPLETED"
    assert runs[passed]["state_type"] == "COMPLETED"
    again = [row for id, row in runs.items() if row["name"].startswith("step") and id not in executed]
    done = len(before.of_kind("body"))
    assert Counter(row["state_name"] for row in again) == {"Cached": done}, "found again by the second process"

    finished = [{"kind": "finished", "id": journey.run, "type": "COMPLETED"}]
    tasks = [{"kind": "task", "id": id} for id in (*executed, passed)]
    report = audit(database, Entries([*entries.of_kind("log"), *finished, *tasks]), exact_versions=False)
    say(f"own SDK: {entries.figures()}; {done} results found again; outage of {OUTAGE:g} s; {report}")
    report.assert_clean()
    assert not database.fetch(_TWICE), "each line is stored once"
    assert not database.fetch(_OUT_OF_ORDER), "what a task run told is stored in its order"
