"""A real client's flow while the one server it talks to is killed with kill -9 and started again."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.auditor import audit, settled
from tests.chaos.gates import MOMENTS, Gate
from tests.chaos.ledger import Entries
from tests.chaos.plan import SHORT, either, in_full_form, say, seeded
from tests.chaos.solo import Solo
from tests.support.prefect_env import finish
from tests.support.processes import ManagedProcess
from tests.support.wait import eventually

pytestmark = pytest.mark.chaos

FLOW_SECONDS = 180
BURST = 20

_TASK_RUNS = """
SELECT t.task_key, t.state_type, count(*) AS runs FROM task_run t WHERE t.flow_run_id = $1 GROUP BY 1, 2
"""


@pytest.fixture(scope="module")
def solo(workdir: Path) -> Iterator[Solo]:
    server = Solo(workdir)
    yield server
    server.server.stop()


@in_full_form
@pytest.mark.parametrize("commit", [True, False], ids=["committed unheard", "undone"])
def test_killed_in_the_middle_of_each_kind_of_statement(solo: Solo, commit: bool, workdir: Path) -> None:
    rounds = 14
    ledger, seen = workdir / f"flow-{commit}.jsonl", workdir / f"witness-{commit}.jsonl"
    witness = solo.start_witness(seen)
    flow = None
    for moment in MOMENTS:
        with Gate(solo.database, moment) as gate:
            flow = flow or solo.start_flow(ledger, rounds)
            flow.wait_for(gate.caught, f"the server is caught at: {moment}")
            solo.kill()
            gate.open(commit=commit)
            solo.start_again()
    assert flow is not None
    finish(flow, FLOW_SECONDS)
    check(solo, witness, ledger, seen, rounds, f"killed at {', '.join(MOMENTS)}; commit={commit}")


def test_killed_at_random_moments(solo: Solo, workdir: Path) -> None:
    draw = seeded("server killed")
    rounds = int(either(8, 70))
    outages = [draw.uniform(0, 4) for _ in range(int(either(3, 8)))]
    if not SHORT:
        outages.insert(2, 25.0)
    ledger, seen = workdir / "flow-random.jsonl", workdir / "witness-random.jsonl"
    witness = solo.start_witness(seen)
    flow = solo.start_flow(ledger, rounds)
    flow.wait_for(lambda: Entries.of(ledger).of_kind("outer"), "the flow has begun")
    for outage in outages:
        due = time.monotonic() + draw.uniform(0.2, 3)
        eventually(lambda due=due: time.monotonic() > due or not flow.running(), "a random moment")  # type: ignore[misc]
        if not flow.running():
            break
        solo.kill()
        solo.start_again(outage)
    kills = len(solo.downtimes)
    assert kills >= 2, "the flow was over before it was disturbed"
    finish(flow, FLOW_SECONDS)
    check(solo, witness, ledger, seen, rounds, f"killed at {kills} random moments")


def check(solo: Solo, witness: ManagedProcess, ledger: Path, seen: Path, rounds: int, title: str) -> None:
    """The flow ran once, completely, and nothing of it or of what the witness saw is missing."""
    witness.signal(signal.SIGTERM)
    assert witness.wait(90) == 0, witness.tail()
    entries = Entries.of(ledger, seen)
    bodies = entries.of_kind("body")
    numbers = sorted(line["number"] for line in bodies)
    assert numbers == list(range(-1, rounds * BURST)), "each task's body ran exactly once"
    assert entries.of_kind("result") == [{"kind": "result", "value": sum(numbers)}]
    (outer,) = entries.values("outer")
    eventually(lambda: settled(solo.database), "the recorder has read the whole log", 30)
    known = Entries([*entries.lines, *({**line, "kind": "task"} for line in bodies)])
    finished = [{"kind": "finished", "id": run, "type": "COMPLETED"} for run in entries.values("executed")]
    report = audit(solo.database, Entries([*known.lines, *finished]), exact_versions=False)
    say(f"solo, {title}: down {solo.downtimes} s; {entries.figures()}; {report}")
    solo.downtimes.clear()
    report.assert_clean()
    runs = solo.database.fetch(_TASK_RUNS, outer)
    assert sum(row["runs"] for row in runs) == rounds * BURST + 1, f"the tasks and one for the subflow: {runs}"
    assert {row["state_type"] for row in runs} == {"COMPLETED"}
    assert len(entries.values("event")) > 100, "the witness was at work"
    assert len(entries.values("log", "message")) > 50
