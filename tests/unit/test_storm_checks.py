"""What the auditor of storms excuses, and what it does not."""

from __future__ import annotations

from typing import Any

from tests.chaos.ledger import Entries
from tests.chaos.loads.shape import DEAD_WORKER_SECONDS
from tests.chaos.storm_checks import refusals, taken_back_early, unfenced

UPGRADE = {"kind": "strike", "fault": "previous release", "struck": 100.0, "lifted": 120.0}


def _state(at: float, type: str, *, fenced: bool = False, id: str = "") -> dict[str, Any]:
    return {"run": "r", "id": id or f"state at {at}", "type": type, "at": at, "fenced": fenced}


def test_only_the_previous_release_may_forget_a_fence() -> None:
    completed = _state(90, "COMPLETED", fenced=True)
    assert unfenced(Entries([UPGRADE]), [completed, _state(110, "RUNNING")]) == {"r"}
    assert unfenced(Entries([UPGRADE]), [completed, _state(130, "RUNNING")]) == set()
    assert unfenced(Entries([UPGRADE]), [completed, _state(110, "RUNNING", fenced=True)]) == set()
    assert unfenced(Entries([]), [completed, _state(110, "RUNNING")]) == set()


def test_a_worker_is_heard_by_what_was_acknowledged_in_time() -> None:
    taken = 2 * DEAD_WORKER_SECONDS
    states = [_state(1, "PENDING", id="claim"), _state(taken, "SCHEDULED")]

    def offences(told: float) -> list[dict[str, Any]]:
        moved = {"kind": "moved", "type": "PENDING", "state": "claim", "process": "p"}
        beat = {"kind": "worker_beat", "process": "p", "sent": taken - 5, "at": told}
        return taken_back_early(Entries([moved, beat]), states)

    assert offences(taken - 4)
    assert not offences(taken + 4), "it may have been written down too late"


def test_a_refusal_is_excused_only_while_nobody_was_up() -> None:
    restart = {"kind": "strike", "fault": "api: restart", "struck": 10.0, "lifted": 20.0}
    calls = [{"kind": "call", "at": at} for at in (9.0, 12.0, 18.0, 19.0)]
    refused = [{"kind": "refused_upgrade", "at": at} for at in (9.5, 15.0)]

    def count(*beside: str) -> tuple[int, int]:
        offences, excused = refusals(Entries([{**restart, "beside": list(beside)}, *calls, *refused]))
        return len(offences), excused

    assert count("previous release") == (0, 2)
    assert count("redis: hang") == (2, 0)
