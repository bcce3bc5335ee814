"""Where user code is being run: the flow run and the task run around it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Self
from uuid import UUID

from sempre.sdk.errors import MissingContextError
from sempre.sdk.ids import now
from sempre.sdk.lineage import Lineage

if TYPE_CHECKING:
    from sempre.sdk.assets import Asset
    from sempre.sdk.engine.world import Watch
    from sempre.sdk.flows import Flow
    from sempre.sdk.results.store import ResultStore
    from sempre.sdk.runners.base import TaskRunner
    from sempre.sdk.runs import FlowRun, TaskRun
    from sempre.sdk.tasks import Task

__all__ = [
    "FlowRunContext",
    "RunContext",
    "TaskRunContext",
    "being_named",
    "current_tags",
    "get_run_context",
    "naming",
    "parents",
    "tags",
]


class RunContext:
    """What flow and task runs have in common; a context manager that makes itself the current one."""

    _current: ClassVar[ContextVar[Any]]

    def __init__(
        self, parameters: dict[str, Any], result_store: ResultStore, persist_result: bool | None, log_prints: bool
    ) -> None:
        self.start_time: datetime = now()
        self.parameters = parameters
        self.result_store = result_store
        self.persist_result = persist_result
        self.log_prints = log_prints
        self._tokens: list[Token[Any]] = []

    @classmethod
    def get(cls) -> Self | None:
        """The innermost one around the caller, or None."""
        found: Self | None = cls._current.get()
        return found

    def __enter__(self) -> Self:
        self._tokens.append(self._current.set(self))
        return self

    def __exit__(self, *_: object) -> None:
        self._current.reset(self._tokens.pop())


class FlowRunContext(RunContext):
    """A flow run whose function is being called.

    ``related`` are the resources that events of its task runs are related to; ``lineage`` knows which task run
    returned which object.
    """

    _current = ContextVar("sempre_flow_run", default=None)

    def __init__(
        self,
        flow: Flow[Any, Any],
        flow_run: FlowRun,
        task_runner: TaskRunner,
        related: list[dict[str, str]],
        parameters: dict[str, Any],
        result_store: ResultStore,
        persist_result: bool | None,
        log_prints: bool,
    ) -> None:
        super().__init__(parameters, result_store, persist_result, log_prints)
        self.flow = flow
        self.flow_run = flow_run
        self.task_runner = task_runner
        self.related = related
        self.lineage = Lineage()
        self.parent = FlowRunContext.get()
        self.watch: Watch | None = None
        self.is_rerun = False  # whether an earlier attempt may have begun subflows
        self.assets: dict[UUID, tuple[Asset, ...]] = {}  # by task run: what it makes, or passes on
        self.calls: dict[str, int] = {}  # of subflows and pauses, by key: how often so far

    def is_cancelled(self) -> bool:
        """This run, or one around it, was cancelled while its code was running."""
        if self.watch is not None and self.watch.cancelled:
            return True
        return self.parent is not None and self.parent.is_cancelled()

    def is_suspended(self) -> bool:
        """This run, or one around it, was suspended from elsewhere while its code was running."""
        if self.watch is not None and self.watch.suspended:
            return True
        return self.parent is not None and self.parent.is_suspended()

    def next_call(self, key: str) -> int:
        """How many calls with this key came before, so that a rerun numbers them alike."""
        number = self.calls.get(key, 0)
        self.calls[key] = number + 1
        return number


class TaskRunContext(RunContext):
    """A task run whose function is being called."""

    _current = ContextVar("sempre_task_run", default=None)

    def __init__(
        self,
        task: Task[Any, Any],
        task_run: TaskRun,
        parameters: dict[str, Any],
        result_store: ResultStore,
        persist_result: bool | None,
        log_prints: bool,
    ) -> None:
        super().__init__(parameters, result_store, persist_result, log_prints)
        self.task = task
        self.task_run = task_run
        self.asset_metadata: dict[str, dict[str, Any]] = {}  # by the key of the asset


def get_run_context() -> FlowRunContext | TaskRunContext:
    """The innermost run around the caller. Raises MissingContextError outside of all."""
    found = TaskRunContext.get() or FlowRunContext.get()
    if found is None:
        raise MissingContextError("There is no run here: this can be asked inside of a flow or task only.")
    return found


def parents() -> dict[str, list[dict[str, str]]]:
    """The part of a run's `task_inputs` that says in which task run it was called, if in one of the same flow run."""
    outer, flow = TaskRunContext.get(), FlowRunContext.get()
    if outer is None or (flow is not None and outer.task_run.flow_run_id != flow.flow_run.id):
        return {}
    return {"__parents__": [{"input_type": "task_run", "id": str(outer.task_run.id)}]}


_NAMING: ContextVar[tuple[str, dict[str, Any]] | None] = ContextVar("sempre_naming", default=None)


def being_named() -> tuple[str, dict[str, Any]] | None:
    """Name of the flow and parameters of the run that a function is just making a name for."""
    return _NAMING.get()


@contextmanager
def naming(flow_name: str, parameters: dict[str, Any]) -> Iterator[None]:
    """For the function that names a run, which there is not yet: `runtime` answers it with what is known."""
    token = _NAMING.set((flow_name, parameters))
    try:
        yield
    finally:
        _NAMING.reset(token)


_TAGS: ContextVar[frozenset[str]] = ContextVar("sempre_tags", default=frozenset())


def current_tags() -> frozenset[str]:
    return _TAGS.get()


@contextmanager
def tags(*new: str) -> Iterator[set[str]]:
    """Give these tags to all runs that are started inside; yields all tags that are in force."""
    both = _TAGS.get() | frozenset(new)
    token = _TAGS.set(both)
    try:
        yield set(both)
    finally:
        _TAGS.reset(token)
