"""What every task runner is."""

from __future__ import annotations

import abc
import contextvars
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from sempre.sdk.errors import FlowRunTimeoutError
from sempre.sdk.futures import Future
from sempre.sdk.inputs import futures_in
from sempre.sdk.returned import crashed

if TYPE_CHECKING:
    from sempre.sdk.engine.task_run import TaskCall

__all__ = ["TaskRunner", "ends_tasks", "execute"]


class TaskRunner(abc.ABC):
    """Executes submitted calls of tasks; open while the flow that it belongs to is running.

    A subclass says how one call that is ready gets started (:meth:`start`), and how many copies of itself there are
    to be (:meth:`duplicate`: each flow run has its own).
    """

    def __init__(self) -> None:
        self._open = False

    @abc.abstractmethod
    def start(self, call: TaskCall, future: Future[Any], context: contextvars.Context) -> None:
        """Have the call executed in the ``context``, and the future resolved with the state that it ends in."""

    @abc.abstractmethod
    def duplicate(self) -> Self:
        """A runner with the same options that was not opened."""

    @abc.abstractmethod
    def opened(self) -> None:
        """Get hold of what calls need."""

    @abc.abstractmethod
    def closed(self, failed: bool) -> None:
        """Wait for what was started, and let go; ``failed`` says that the flow is ending with an exception.

        A flow that is cancelled while this waits has the tasks interrupted, and this called again.
        """

    def interrupt(self) -> None:  # noqa: B027  # what cannot be interrupted is waited for
        """End what is running, if that can be done: the flow was cancelled, or its time is over. From any thread."""

    def submit(self, call: TaskCall) -> Future[Any]:
        """Execute a call as soon as everything that it waits for has ended. Until then it takes nobody's place."""
        if not self._open:
            raise RuntimeError("This task runner is not open: tasks can be submitted inside of a flow run only.")
        future: Future[Any] = Future(call.run.id)
        context = contextvars.copy_context()
        waited = [each for each in futures_in(call.parameters, call.wait_for) if not each.done()]
        if not waited:
            self.start(call, future, context)
            return future
        count = _Countdown(len(waited), lambda: self._start_late(call, future, context))
        for each in waited:
            each.add_done_callback(count)
        return future

    def _start_late(self, call: TaskCall, future: Future[Any], context: contextvars.Context) -> None:
        """In the thread that ended the last thing waited for: nobody would see what is raised here."""
        try:
            self.start(call, future, context)
        except Exception as error:
            future.resolve(crashed(error))

    def __enter__(self) -> Self:
        if self._open:
            raise RuntimeError("This task runner is open already.")
        self.opened()
        self._open = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if ends_tasks(error):
                self.interrupt()
            self.closed(error is not None)
        finally:
            self._open = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def ends_tasks(error: BaseException | None) -> bool:
    """Whether the tasks of a flow that ended like this are not wanted any more. After an ordinary failure they are."""
    return isinstance(error, FlowRunTimeoutError) or (error is not None and not isinstance(error, Exception))


class _Countdown:
    """Calls ``then`` once, when it was called as often as there is to wait for."""

    def __init__(self, count: int, then: Callable[[], None]) -> None:
        self._count = count
        self._then = then
        self._lock = threading.Lock()

    def __call__(self, _: object) -> None:
        with self._lock:
            self._count -= 1
            due = self._count == 0
        if due:
            self._then()


def execute(call: TaskCall, future: Future[Any]) -> None:
    """One call from beginning to end in this thread. Nothing is raised: the future has it all."""
    from sempre.sdk.engine.calls import perform

    try:
        state = perform(call)
    except BaseException as error:
        reached = call.run.state
        state = reached if reached is not None and reached.is_final() else crashed(error)
    future.resolve(state)
