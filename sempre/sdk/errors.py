"""What can go wrong in user code, one small tree.

Two branches: :class:`SempreException` for errors that code may want to catch, and :class:`Signal` for what must pass
through ``except Exception`` because it ends a run.
"""

from collections.abc import Iterable
from typing import Any

__all__ = [
    "Abort",
    "CancelledRun",
    "ConfigurationError",
    "CrashedRun",
    "FailedRun",
    "FlowPauseTimeout",
    "FlowRunTimeoutError",
    "FlowRunWaitTimeout",
    "HashError",
    "MappingLengthMismatch",
    "MappingMissingIterable",
    "MissingContextError",
    "MissingFlowError",
    "MissingResult",
    "NotPausedError",
    "ParameterBindError",
    "ParameterTypeError",
    "Pause",
    "PausedRun",
    "ReservedArgumentError",
    "RunError",
    "ScriptError",
    "SempreException",
    "SerializationError",
    "Signal",
    "SignatureMismatchError",
    "StorageError",
    "TaskRunTimeoutError",
    "TerminationSignal",
    "UnfinishedRun",
    "UpstreamTaskError",
]


class SempreException(Exception):
    """Anything that Sempre raises in user code."""


class RunError(SempreException):
    """A run did not end with a value."""


class FailedRun(RunError):
    """The run failed, and the exception that it ended with is not at hand."""


class CrashedRun(RunError):
    """The run was ended from outside of its own code."""


class CancelledRun(RunError):
    """The run was cancelled."""


class PausedRun(RunError):
    """The run is paused, so it has no result yet."""


class UnfinishedRun(RunError):
    """The run has not ended, so it has no result yet."""


class MissingResult(SempreException):
    """The run ended, but its value was not kept."""


class UpstreamTaskError(SempreException):
    """A run that this one waits for did not complete, so this one cannot start."""


class FlowPauseTimeout(SempreException):
    """Nobody resumed the run in time."""


class FlowRunWaitTimeout(SempreException):
    """The run that was waited for has not ended in time. It goes on."""


class NotPausedError(SempreException):
    """The run cannot be resumed because it is not paused."""


class TaskRunTimeoutError(TimeoutError):
    """A task run took longer than its ``timeout_seconds``."""


class FlowRunTimeoutError(TimeoutError):
    """A flow run took longer than its ``timeout_seconds``."""


class MissingContextError(SempreException, RuntimeError):
    """This call works inside of a flow or task run only."""


class MissingFlowError(SempreException):
    """There is no flow where one was asked for."""


class ScriptError(SempreException):
    """The file with the flow could not be executed."""

    def __init__(self, path: str, error: BaseException) -> None:
        super().__init__(f"{path} could not be executed: {type(error).__name__}: {error}")
        self.path = path
        self.user_exc = error


class ConfigurationError(SempreException):
    """Options that do not go together."""


class HashError(SempreException):
    """A value has no stable hash, so no cache key can be made of it."""


class SerializationError(SempreException):
    """A value cannot be written with its serializer, or not be read back."""


class StorageError(SempreException):
    """A store of results or of code refused what was asked of it, or did not answer for a while."""


class ReservedArgumentError(SempreException, TypeError):
    """A function has a parameter whose name has a meaning of its own in a call."""


class ParameterTypeError(SempreException):
    """A value does not fit the type hint of its parameter."""


class ParameterBindError(SempreException, TypeError):
    """A call does not fit the signature of the function."""

    @classmethod
    def of(
        cls, name: str, signature: str, args: tuple[Any, ...], kwargs: Iterable[str], why: object
    ) -> "ParameterBindError":
        return cls(
            f"Error binding parameters for function '{name}': {why}.\n"
            f"Function '{name}' has signature '{signature}' but received args: {args} and kwargs: {list(kwargs)}."
        )


class SignatureMismatchError(SempreException, TypeError):
    """A run was created with parameters that its function does not have."""


class MappingLengthMismatch(SempreException):
    """`map` was given iterables of different lengths."""


class MappingMissingIterable(SempreException):
    """`map` was given nothing to iterate over."""


class Signal(BaseException):
    """Ends a run; not an ``Exception``, so that user code does not catch it by accident."""


class Abort(Signal):
    """The server says that this run must not go on here; another process may have it."""


class Pause(Signal):
    """The run was suspended: this process leaves, a later one takes it up again."""

    def __init__(self, *args: object, state: Any = None) -> None:
        super().__init__(*args)
        self.state = state


class TerminationSignal(Signal):
    """The process was asked to end (SIGTERM), or the run was cancelled, while user code was running."""

    def __init__(self, signal: int = 15) -> None:
        super().__init__(f"received signal {signal}")
        self.signal = signal
