"""What players decide about runs that they take: when to look for work, whether a claim was won, what an end means,
and what to do about what a dead one left behind. From values to values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from uuid import UUID, uuid5

from sempre.core.states import TERMINAL, StateType

__all__ = [
    "Adoption",
    "Ending",
    "Verdict",
    "adoption",
    "crash_message",
    "is_stale",
    "next_pause",
    "verdict",
    "waiting_id",
    "won",
]

_FAILURES_PER_STEP = 3
_STEPS = 4
_JITTER = (0.75, 1.3)
_STALE_AFTER = 30  # intervals without a look


def next_pause(interval: float, failures: int, draw: float) -> float:
    """Seconds to the next look for work: the interval, doubled with every third failure in a row, four times at most,
    times 0.75 to 1.3 as `draw` (0 to 1) has it. However long the API is away, it is asked again."""
    low, high = _JITTER
    return float(interval * 2 ** min(failures // _FAILURES_PER_STEP, _STEPS) * (low + (high - low) * draw))


def is_stale(seconds_since_look: float, interval: float) -> bool:
    """Whether somebody who looks for work every `interval` seconds has stopped doing so."""
    return seconds_since_look > _STALE_AFTER * interval


def won(status: str, state: StateType | None, transition_id: str | None, claim_id: str) -> bool:
    """Whether a proposed PENDING made the run ours: it was accepted, or an earlier attempt of the same proposal was,
    whose answer was lost. A slot that has to be waited for, another's claim, and an end are refusals."""
    if state is not StateType.PENDING:
        return False
    return status == "ACCEPT" or transition_id == claim_id


def waiting_id(transition_id: UUID | str) -> UUID:
    """The transition id of the state that follows a claim's when its infrastructure waits to start. Who sees that need
    not be who claimed the run, and the state must stay known as the claim's."""
    return uuid5(UUID(str(transition_id)), "infrastructure pending")


class Verdict(Enum):
    """What to propose for a run whose infrastructure has ended."""

    NOTHING = "nothing"
    CRASHED = "crashed"
    CANCELLED = "cancelled"
    HAND_BACK = "hand back"


def verdict(
    exit_code: int | None, state: StateType | None, *, is_its_claim: bool, retries_inside: bool = False
) -> Verdict:
    """What the end of infrastructure means for its run. `exit_code` None: nobody knows how it ended; `is_its_claim`: a
    PENDING state is that of the claim which the infrastructure was started for; `retries_inside`: a SCHEDULED run waits
    for its next attempt in the very infrastructure that ended, and nobody else may take it.

    A run that is over, that waits to be run again elsewhere, or that is paused was taken care of, and one that somebody
    else has claimed is his. An end that nobody saw crashes a run that had begun; one that had not can be run by
    another.
    """
    if state is None or state in TERMINAL or state is StateType.PAUSED:
        return Verdict.NOTHING
    if state is StateType.SCHEDULED:
        return Verdict.CRASHED if retries_inside and exit_code != 0 else Verdict.NOTHING
    if state is StateType.PENDING and not is_its_claim:
        return Verdict.NOTHING
    if state is StateType.CANCELLING:
        return Verdict.CANCELLED
    if exit_code == 0:
        return Verdict.NOTHING
    if exit_code is None and state is StateType.PENDING:
        return Verdict.HAND_BACK
    return Verdict.CRASHED


@dataclass(frozen=True, slots=True)
class Ending:
    """How infrastructure ended: its exit code, None if nobody knows."""

    exit_code: int | None
    explanation: str | None = None


def crash_message(ending: Ending) -> str:
    """Why a run is Crashed."""
    if ending.exit_code is None:
        return "Flow run infrastructure is gone, and nothing tells how it ended."
    text = f"Flow run infrastructure exited with non-zero status code {ending.exit_code}."
    return f"{text} {ending.explanation}" if ending.explanation else text


class Adoption(Enum):
    """What to do about a run that a dead worker of the same name had taken."""

    WATCH = "watch"
    HAND_BACK = "hand back"
    FORGET = "forget"


def adoption(*, started: bool, state: StateType | None, is_its_claim: bool) -> Adoption:
    """`started`: there is infrastructure for it, or was, and it can be watched; if not, nothing was started and nothing
    will be. `is_its_claim`: the PENDING state that the run is in is the one the dead worker proposed; what somebody
    else has claimed since is his."""
    if started:
        return Adoption.WATCH
    if state is StateType.PENDING and is_its_claim:
        return Adoption.HAND_BACK
    return Adoption.FORGET
