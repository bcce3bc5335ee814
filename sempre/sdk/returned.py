"""What a function returned or raised, as the final state of its run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from sempre.sdk.results.record import ResultRecord
from sempre.sdk.states import Completed, Crashed, Failed, State, StateDetails, TimedOut

__all__ = ["crashed", "failed", "returned", "states_of", "timed_out"]

NOT_RETRIABLE = StateDetails(retriable=False)


def returned(value: Any) -> State[Any]:
    """The state that a returned value, its futures already turned into states, says the run ended in.

    A state that code made is the run's state. States of other runs, alone or as all items of a collection, make the
    run COMPLETED only if all of them are. Anything else is a result.
    """
    if isinstance(value, State) and not value.of_run():
        return value
    states = states_of(value)
    if not states:
        return Completed(data=ResultRecord(value))
    return _of_many(states, value)


def states_of(value: Any) -> list[State[Any]]:
    """The states that a value consists of, itself or its items; none if anything else is among them."""
    if isinstance(value, State):
        return [value]
    if isinstance(value, (list, tuple, set)) and value and all(isinstance(each, State) for each in value):
        return list(value)
    return []


def failed(error: BaseException, prefix: str, retriable: bool | None = False) -> State[Any]:
    """FAILED with the exception; ``prefix`` begins the message."""
    return Failed(
        message=f"{prefix} {type(error).__name__}: {error}",
        data=ResultRecord(error),
        state_details=NOT_RETRIABLE if retriable is False else None,
    )


def timed_out(error: BaseException, seconds: float, kind: str) -> State[Any]:
    return TimedOut(message=f"{kind} run exceeded timeout of {seconds} second(s)", data=error)


def crashed(error: BaseException) -> State[Any]:
    """CRASHED, with what ended the run from outside of its own code."""
    return Crashed(message=_why(error), data=ResultRecord(error))


def _why(error: BaseException) -> str:
    name = type(error).__name__
    if isinstance(error, KeyboardInterrupt):
        return "Execution was aborted by an interrupt signal."
    if isinstance(error, SystemExit):
        return "Execution was aborted by Python system exit call."
    if name == "TerminationSignal":
        return "Execution was aborted by a termination signal."
    if name == "CancelledError":
        return "Execution was cancelled by the runtime environment."
    return f"Execution was interrupted by an unexpected exception: {name}: {error}"


def _of_many(states: Iterable[State[Any]], value: Any) -> State[Any]:
    states = list(states)
    total = len(states)
    record = ResultRecord(value)
    counts = Counter("open" if not state.is_final() else state.type.value for state in states)
    if counts["COMPLETED"] == total:
        return Completed(message="All states completed.", data=record)
    if counts["CANCELLED"]:
        return State("CANCELLED", message=f"{counts['CANCELLED']}/{total} states cancelled.", data=record)
    lost = counts["FAILED"] + counts["CRASHED"]
    said = f"{lost}/{total} states failed." if lost else f"{counts['open']}/{total} states are not final."
    return Failed(message=said, data=record)
