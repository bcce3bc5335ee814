"""From a state to the value or exception that the run ended with."""

from typing import Any

from sempre.sdk.errors import CancelledRun, CrashedRun, FailedRun, MissingResult, PausedRun, UnfinishedRun
from sempre.sdk.results.record import ResultRecord
from sempre.sdk.states import State

__all__ = ["state_exception", "state_result", "stored_data"]

_MISSING = (
    "The value of this run is not at hand: it was not persisted, and this process is not the one that the run "
    "ended in. Say persist_result=True to keep values."
)


def state_result(state: State[Any], raise_on_failure: bool) -> Any:
    """See :meth:`State.result`."""
    if state.is_paused():
        raise PausedRun("Run is paused, its result is not available.")
    if not state.is_final():
        raise UnfinishedRun(f"Run is in {state.type.value} state, its result is not available.")
    if state.is_completed():
        return _completed(state)
    if raise_on_failure:
        raise state_exception(state)
    data = stored_data(state)
    if data is None or isinstance(data, str):
        return state_exception(state)
    return data


def state_exception(state: State[Any]) -> BaseException:
    """The exception of a state that is not COMPLETED, found also in a state, or a list of them, that it carries."""
    data = stored_data(state)
    if isinstance(data, BaseException):
        return data
    kind, said = {
        "FAILED": (FailedRun, "Run failed."),
        "CRASHED": (CrashedRun, "Run crashed."),
        "CANCELLED": (CancelledRun, "Run cancelled."),
    }.get(state.type.value, (UnfinishedRun, f"Run is in {state.type.value} state."))
    if isinstance(data, State):
        return state_exception(data)
    if isinstance(data, (list, tuple, set)):
        for each in data:
            if isinstance(each, State) and not each.is_completed():
                return state_exception(each)
    return kind(data if isinstance(data, str) else state.message or said)


def stored_data(state: State[Any]) -> Any:
    """What the state carries, read from its storage if only the place is known; None if there is nothing."""
    data = state.data
    if isinstance(data, ResultRecord):
        return data.result
    if isinstance(data, dict) and "storage_key" in data:
        from sempre.sdk.results.store import read_metadata

        return read_metadata(data).result
    if isinstance(data, dict) and data.get("type") == "unpersisted":
        return None
    return data


def _completed(state: State[Any]) -> Any:
    if state.data is None or (isinstance(state.data, dict) and state.data.get("type") == "unpersisted"):
        raise MissingResult(_MISSING)
    return stored_data(state)
