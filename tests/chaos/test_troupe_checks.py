"""Each check of a troupe's ledger finds the offence it is for, and nothing else does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos import troupe_checks
from tests.chaos.auditor import Report
from tests.chaos.ledger import Entries, Entry
from tests.chaos.rounds import keys_of_round, stage_key, step_key
from tests.chaos.test_own_worker import compare

pytestmark = pytest.mark.chaos

RUN, ROUNDS = "r", 3
_BEGUN = ["SCHEDULED", "PENDING", "PENDING", "RUNNING"]
HISTORY = [*_BEGUN, "CRASHED", *_BEGUN, "COMPLETED"]


def line(kind: str, pid: int | None = None, **facts: Any) -> Entry:
    return {"kind": kind, "at": 0.0, "run": RUN, **({} if pid is None else {"pid": pid}), **facts}


def attempt(pid: int, number: int, rounds: range) -> list[Entry]:
    """What a process notes that executes these rounds and finds what was done before."""
    lines = [line("begin", pid, attempt=number)]
    for each in rounds:
        step = step_key(RUN, 3 * each)
        lines.append(line("body", pid, id=f"{pid}-{each}", key=step, number=3 * each, kept=False))
        for part in "ab":
            key = stage_key(RUN, each, part)
            lines.append(line("body", pid, id=f"{pid}-{key}", key=key, number=each, kept=False, staged=True))
        if each == 2:
            lines += [line(kind, pid, attempt=number, number=each) for kind in ("broken", "undone")]
        lines.append(line("joined", pid, keys=sorted(keys_of_round(RUN, each))))
    return lines


def story() -> list[Entry]:
    """A run whose first process is killed in its second round, and whose second process ends it."""
    return [
        line("asked", deployment="mapped", ends="COMPLETED", rounds=ROUNDS),
        *attempt(1, 1, range(2)),
        line("killed", 1),
        *attempt(2, 2, range(2, 3)),
        line("joined", 2, keys=sorted(keys_of_round(RUN, 0) | keys_of_round(RUN, 1))),
        line("end", 2, attempt=2),
    ]


def broken_by(lines: list[Entry], history: list[str] | None = None, state: str = "COMPLETED") -> set[str]:
    report = Report()
    row = {"run": RUN, "state_type": state, "history": history or HISTORY}
    compare(report, Entries(lines), [row], set())
    return report.broken


def where(lines: list[Entry], **facts: Any) -> int:
    return next(at for at, each in enumerate(lines) if facts.items() <= each.items())


def test_a_run_that_went_as_it_should_is_no_offence() -> None:
    assert broken_by(story()) == set()


def test_another_state() -> None:
    assert broken_by(story(), state="FAILED") == {"run in another state than its own"}


def test_crashed_twice_though_killed_once() -> None:
    more = [*HISTORY[:5], "SCHEDULED", "PENDING", "RUNNING", "CRASHED", *HISTORY[5:]]
    assert broken_by(story(), more) == {"run crashed though its process was not killed"}


def test_begun_more_often_than_running() -> None:
    history = [type for at, type in enumerate(HISTORY) if at != 3]
    assert broken_by(story(), history) == {"run begun without leave"}


def test_two_at_once() -> None:
    assert broken_by([*story(), line("overlap", 2)]) == {"run in two processes at once"}


def test_a_process_that_was_not_killed() -> None:
    lines = story()
    del lines[where(lines, kind="killed")]
    assert broken_by(lines, [*HISTORY[:4], *HISTORY[8:]]) == {"run begun by another though its process lived"}


def test_the_killed_goes_on() -> None:
    lines = story()
    lines.insert(where(lines, kind="end"), line("log", 1, message="still there"))
    assert broken_by(lines) == {"run begun by another though its process lived"}


def test_a_body_though_its_result_is_kept() -> None:
    lines = story()
    lines[where(lines, kind="body", pid=2)]["kept"] = True
    assert broken_by(lines) == {"task executed though its result was kept"}


def test_a_body_though_its_result_was_used() -> None:
    lines = story()
    lines.insert(where(lines, kind="end"), line("body", 2, id="x", key=step_key(RUN, 0), number=0, kept=False))
    assert broken_by(lines) == {"task or subflow executed though its result was used"}


def test_a_body_once_more_in_one_process() -> None:
    lines = story()
    at = where(lines, kind="body", pid=2)
    lines.insert(at, lines[at])
    assert broken_by(lines) == {"task executed again though nobody was killed"}


@pytest.mark.parametrize("calls", [0, 2])
def test_a_hook_not_called_exactly_once(calls: int) -> None:
    lines = story()
    at = where(lines, kind="undone")
    lines[at : at + 1] = [lines[at]] * calls
    assert broken_by(lines) == {"transaction not undone exactly once"}


def test_undone_though_it_was_committed() -> None:
    lines = story()
    lines.insert(where(lines, kind="end"), line("undone", 2, attempt=2, number=1))
    assert broken_by(lines) == {"transaction not undone exactly once"}


def test_rounds_left_out() -> None:
    lines = story()
    del lines[where(lines, kind="joined", pid=2)]
    assert broken_by(lines) == {"completed run left something out"}


def test_what_the_killed_told_need_not_be_stored() -> None:
    told = troupe_checks.acknowledged(Entries(story()))
    assert [each["id"] for each in told if each["kind"] == "task"] == ["2-2"]
    assert [each["type"] for each in told if each["kind"] == "finished"] == ["COMPLETED"]
