"""Tasks: functions whose every call is recorded, retried and, where wanted, remembered.

This module is what `from sempre import task` loads, so it imports next to nothing. The engine comes with the first
call.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Generic, Literal, NoReturn, ParamSpec, TypeVar, overload

if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Unpack

    from sempre.sdk.assets import Asset
    from sempre.sdk.background_tasks import DistributedFuture
    from sempre.sdk.caching import CachePolicy
    from sempre.sdk.context import TaskRunContext
    from sempre.sdk.filesystems import FileSystem
    from sempre.sdk.function_options import TaskOptions
    from sempre.sdk.futures import Future, FutureList
    from sempre.sdk.parameters import Signature
    from sempre.sdk.results.serializers import Serializer
    from sempre.sdk.results.storages import Storage
    from sempre.sdk.runs import TaskRun
    from sempre.sdk.states import State
    from sempre.sdk.transactions import Transaction

    Hook = Callable[["Task[..., Any]", TaskRun, State[Any]], Any]
    RetryDelay = float | int | list[float] | list[int] | Callable[[int], list[float]]
    RunNamer = str | Callable[..., str]

__all__ = ["UNSET", "Task", "exponential_backoff", "task"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class _Unset:
    """Stands for an option that was not given; there is one of it, in other processes too."""

    def __reduce__(self) -> str:
        return "UNSET"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Any = _Unset()


class Task(Generic[P, R]):
    """A function made a task by :func:`task`. See there for the options."""

    fn: Callable[P, R]
    assets: tuple[Asset, ...] = ()
    materialized_by: str | None = None

    def __init__(
        self,
        fn: Callable[P, R],
        *,
        name: str | None = None,
        description: str | None = None,
        tags: Iterable[str] | None = None,
        version: str | None = None,
        cache_policy: CachePolicy | Any = UNSET,
        cache_key_fn: Callable[[TaskRunContext, dict[str, Any]], str | None] | None = None,
        cache_expiration: timedelta | None = None,
        task_run_name: RunNamer | None = None,
        retries: int | None = None,
        retry_delay_seconds: RetryDelay | None = None,
        retry_jitter_factor: float | None = None,
        retry_condition_fn: Callable[[Task[..., Any], TaskRun, State[Any]], bool] | None = None,
        persist_result: bool | None = None,
        result_storage: Storage | FileSystem | str | None = None,
        result_storage_key: str | None = None,
        result_serializer: Serializer | str | None = None,
        timeout_seconds: float | None = None,
        log_prints: bool | None = None,
        refresh_cache: bool | None = None,
        on_completion: list[Hook] | None = None,
        on_failure: list[Hook] | None = None,
        on_running: list[Hook] | None = None,
        on_rollback: list[Callable[[Transaction], Any]] | None = None,
        on_commit: list[Callable[[Transaction], Any]] | None = None,
        asset_deps: Iterable[Asset | str] | None = None,
    ) -> None:
        if not callable(fn):
            raise TypeError(f"@task makes tasks of functions, not of {type(fn).__name__}")
        if cache_key_fn is not None and cache_policy is not UNSET:
            raise ValueError("say either cache_policy or cache_key_fn, not both")
        if persist_result is False and (cache_key_fn or getattr(cache_policy, "caches", False)):
            raise ValueError("a cache needs persisted results: persist_result=False does not go with it")
        functools.update_wrapper(self, fn)
        self.fn = fn
        self.isasync = is_coroutine_function(fn)
        self.isgenerator = is_generator_function(fn)
        self.name: str = name or str(getattr(fn, "__name__", type(fn).__name__))
        self.description = description or fn.__doc__
        self.tags = set(tags or ())
        self.version = version
        self.cache_policy = cache_policy
        self.cache_key_fn = cache_key_fn
        self.cache_expiration = cache_expiration
        self.task_run_name = task_run_name
        self._retries = retries
        self._retry_delay_seconds = retry_delay_seconds
        if not callable(retry_delay_seconds):
            _delays(retry_delay_seconds, 0)
        self.retry_jitter_factor = _jitter(retry_jitter_factor)
        self.retry_condition_fn = retry_condition_fn
        self.persist_result = persist_result
        self.result_storage = result_storage
        self.result_storage_key = result_storage_key
        self.result_serializer = result_serializer
        self.timeout_seconds = float(timeout_seconds) if timeout_seconds else None
        self.log_prints = log_prints
        self.refresh_cache = refresh_cache
        self.on_completion_hooks = list(on_completion or ())
        self.on_failure_hooks = list(on_failure or ())
        self.on_running_hooks = list(on_running or ())
        self.on_rollback_hooks = list(on_rollback or ())
        self.on_commit_hooks = list(on_commit or ())
        self.asset_deps = _assets(asset_deps)

    # Calling

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def __call__(  # of functions without hints, which would match the next one
        self: Task[..., NoReturn],
        *args: Any,
        return_state: Literal[True],
        wait_for: Iterable[Any] | None = None,
        **kwargs: Any,
    ) -> State[Any]: ...
    @overload
    def __call__(
        self: Task[..., Coroutine[Any, Any, T]],
        *args: Any,
        return_state: Literal[True],
        wait_for: Iterable[Any] | None = None,
        **kwargs: Any,
    ) -> Coroutine[Any, Any, State[T]]: ...
    @overload
    def __call__(
        self, *args: Any, return_state: Literal[True], wait_for: Iterable[Any] | None = None, **kwargs: Any
    ) -> State[R]: ...
    @overload
    def __call__(
        self, *args: Any, return_state: Literal[False] = False, wait_for: Iterable[Any], **kwargs: Any
    ) -> R: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task here and now; what it returns or raises is returned and raised.

        ``return_state``: return the final state instead. ``wait_for``: futures that have to complete before.
        """
        from sempre.sdk.engine.calls import call_task

        return_state, wait_for = kwargs.pop("return_state", False), kwargs.pop("wait_for", None)
        return call_task(self, args, kwargs, wait_for, return_state)

    @overload
    def submit(
        self: Task[..., Coroutine[Any, Any, T]],
        *args: Any,
        return_state: Literal[False] = False,
        wait_for: Iterable[Any] | None = None,
        **kwargs: Any,
    ) -> Future[T]: ...
    @overload
    def submit(
        self,
        *args: Any,
        return_state: Literal[False] = False,
        wait_for: Iterable[Any] | None = None,
        **kwargs: Any,
    ) -> Future[R]: ...
    @overload
    def submit(
        self, *args: Any, return_state: Literal[True], wait_for: Iterable[Any] | None = None, **kwargs: Any
    ) -> State[R]: ...
    def submit(
        self, *args: Any, return_state: bool = False, wait_for: Iterable[Any] | None = None, **kwargs: Any
    ) -> Any:
        """Have the flow's task runner run the task, and go on. Arguments may be futures, or contain some."""
        from sempre.sdk.engine.calls import submit_task

        future = submit_task(self, args, kwargs, wait_for)
        if not return_state:
            return future
        future.wait()
        return future.state

    @overload
    def map(
        self: Task[..., Coroutine[Any, Any, T]],
        *args: Any,
        return_state: Literal[False] = False,
        wait_for: Iterable[Any] | None = None,
        **kwargs: Any,
    ) -> FutureList[T]: ...
    @overload
    def map(
        self,
        *args: Any,
        return_state: Literal[False] = False,
        wait_for: Iterable[Any] | None = None,
        **kwargs: Any,
    ) -> FutureList[R]: ...
    @overload
    def map(
        self, *args: Any, return_state: Literal[True], wait_for: Iterable[Any] | None = None, **kwargs: Any
    ) -> list[State[R]]: ...
    def map(self, *args: Any, return_state: bool = False, wait_for: Iterable[Any] | None = None, **kwargs: Any) -> Any:
        """Submit the task once for each item of its iterable arguments, which are of one length.

        What is not iterable, or wrapped in `unmapped`, is the same for each call. Texts, bytes and dicts are not
        iterated over.
        """
        from sempre.sdk.engine.mapping import map_task

        futures = map_task(self, args, kwargs, wait_for)
        if not return_state:
            return futures
        futures.wait()
        return [future.state for future in futures]

    @overload
    def delay(self: Task[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> DistributedFuture[T]: ...
    @overload
    def delay(self, *args: P.args, **kwargs: P.kwargs) -> DistributedFuture[R]: ...
    def delay(self, *args: Any, **kwargs: Any) -> Any:
        """Leave the call with the server, for whoever serves this task. Works outside of flows too."""
        from sempre.sdk.background_tasks import delay

        return delay(self, args, kwargs)

    def apply_async(
        self, args: tuple[Any, ...] | None = None, kwargs: dict[str, Any] | None = None
    ) -> DistributedFuture[Any]:
        """As :meth:`delay`, with the arguments as a tuple and a dict."""
        from sempre.sdk.background_tasks import delay

        return delay(self, args or (), kwargs or {})

    def serve(self, limit: int | None = 10) -> None:
        """Run calls of this task that were left by :meth:`delay`, until SIGTERM or SIGINT."""
        from sempre.sdk.background_tasks import serve

        serve(self, limit=limit)

    # Changing

    def with_options(self, **options: Unpack[TaskOptions]) -> Task[P, R]:
        """The same task with other options, those of :func:`task`; what is not named stays."""
        return type(self)(self.fn, **{**self._options(), **options})

    def _options(self) -> dict[str, Any]:
        names = (
            "name", "description", "tags", "version", "cache_policy", "cache_key_fn", "cache_expiration",
            "task_run_name", "retries", "retry_delay_seconds", "retry_jitter_factor", "retry_condition_fn",
            "persist_result", "result_storage", "result_storage_key", "result_serializer", "timeout_seconds",
            "log_prints", "refresh_cache", "asset_deps",
        )  # fmt: skip
        hooks = ("on_completion", "on_failure", "on_running", "on_rollback", "on_commit")
        kept = {n: getattr(self, f"_{n}" if n in ("retries", "retry_delay_seconds") else n) for n in names}
        return kept | {n: list(getattr(self, f"{n}_hooks")) for n in hooks}

    def on_completion(self, fn: Hook) -> Hook:
        self.on_completion_hooks.append(fn)
        return fn

    def on_failure(self, fn: Hook) -> Hook:
        self.on_failure_hooks.append(fn)
        return fn

    def on_running(self, fn: Hook) -> Hook:
        self.on_running_hooks.append(fn)
        return fn

    def on_commit(self, fn: Callable[[Transaction], Any]) -> Callable[[Transaction], Any]:
        self.on_commit_hooks.append(fn)
        return fn

    def on_rollback(self, fn: Callable[[Transaction], Any]) -> Callable[[Transaction], Any]:
        self.on_rollback_hooks.append(fn)
        return fn

    def __get__(self, instance: Any, owner: type | None = None) -> Task[..., R]:
        """As a method: the task with its first argument bound."""
        if instance is None:
            return self
        bound = self.with_options()
        bound.fn = self.fn.__get__(instance, owner)
        return bound

    # What the engine asks

    @property
    def retries(self) -> int:
        if self._retries is not None:
            return self._retries
        from sempre.settings import get_current_settings

        return get_current_settings().tasks.default_retries

    @property
    def retry_delay_seconds(self) -> float | int | list[float]:
        """One delay for all retries, or one for each (the last for all that follow)."""
        given = self._retry_delay_seconds
        if given is None:
            from sempre.settings import get_current_settings

            return get_current_settings().tasks.default_retry_delay_seconds
        return _delays(given, self.retries)

    @functools.cached_property
    def signature(self) -> Signature:
        from sempre.sdk.parameters import Signature

        return Signature(self.fn, self.name)

    @functools.cached_property
    def task_key(self) -> str:
        """Names the function, the same in every process that loads the same code."""
        from sempre.sdk.task_keys import task_key

        return task_key(self.fn, self.name)

    def hooks_for(self, state: State[Any]) -> list[Hook]:
        if state.is_completed():
            return self.on_completion_hooks
        return self.on_failure_hooks if state.is_failed() else []

    def retry_delay(self, attempt: int) -> float:
        """Seconds before the retry that follows the given attempt (the first is 1)."""
        delays = self.retry_delay_seconds
        delay = float(delays[min(attempt, len(delays)) - 1]) if isinstance(delays, list) else float(delays or 0)
        if self.retry_jitter_factor and delay > 0:
            import random

            from sempre.core.jitter import clamped_exponential

            delay = clamped_exponential(random.random(), delay, self.retry_jitter_factor)  # noqa: S311
        return delay

    def run_name(self, parameters: dict[str, Any], default: str) -> str:
        from sempre.sdk.run_names import run_name

        return run_name(self.task_run_name, parameters, default)

    def transaction_of(self, context: TaskRunContext, persist: bool) -> Transaction | None:
        """The transaction that a run's value is written in; None where nothing is, so that it costs nothing."""
        from sempre.sdk.task_transactions import task_transaction

        return task_transaction(self, context, persist)

    def __getstate__(self) -> dict[str, Any]:
        """For other processes, which make their own signature."""
        return {name: value for name, value in self.__dict__.items() if name != "signature"}

    def __repr__(self) -> str:
        return f"<Task {self.name!r}>"


@overload
def task(fn: Callable[P, R], /, **options: Unpack[TaskOptions]) -> Task[P, R]: ...
@overload
def task(fn: None = None, /, **options: Unpack[TaskOptions]) -> Callable[[Callable[P, R]], Task[P, R]]: ...
def task(fn: Callable[P, R] | None = None, /, **options: Any) -> Any:
    """Make a task of a function: `@task`, or `@task(option=...)`.

    - ``name``, ``description``, ``version``, ``tags``; ``task_run_name``: a template of parameters (``"load-{day}"``)
      or a function that returns the name
    - ``retries``; ``retry_delay_seconds``: a number, one for each retry, or :func:`exponential_backoff`;
      ``retry_jitter_factor`` >= 0; ``retry_condition_fn(task, task_run, state) -> bool``
    - ``timeout_seconds`` of one attempt
    - ``persist_result``, ``result_storage``, ``result_serializer``, ``result_storage_key``: whether, where, how and
      under which name values are kept
    - ``cache_policy`` or ``cache_key_fn(context, arguments)``, ``cache_expiration``, ``refresh_cache``: when a kept
      value is used instead of calling the function
    - ``log_prints``: `print` logs; ``asset_deps``: the assets that it uses
    - ``on_completion``, ``on_failure``, ``on_running``: hooks ``(task, task_run, state)``; ``on_commit`` and
      ``on_rollback``: hooks ``(transaction)``

    Raises TypeError for options that there are not, ValueError for those that do not go together.
    """
    if fn is None:
        return functools.partial(_decorate, options)
    return Task(fn, **options)


def _decorate(options: dict[str, Any], fn: Callable[P, R]) -> Task[P, R]:
    return Task(fn, **options)


def exponential_backoff(backoff_factor: float) -> Callable[[int], list[float]]:
    """For ``retry_delay_seconds``: ``backoff_factor`` times 1, 2, 4, 8, ... seconds."""

    def delays(retries: int) -> list[float]:
        return [backoff_factor * 2**attempt for attempt in range(retries)]

    return delays


def is_coroutine_function(fn: Callable[..., Any]) -> bool:
    """Also for asynchronous generators. Without loading `inspect`: what the flags in the code say, looking through
    partials and methods."""
    return bool(_code_flags(fn) & (0x80 | 0x200))


def is_generator_function(fn: Callable[..., Any]) -> bool:
    """Also for asynchronous generators."""
    return bool(_code_flags(fn) & (0x20 | 0x200))


def _code_flags(fn: Callable[..., Any]) -> int:
    while isinstance(fn, functools.partial):
        fn = fn.func
    code = getattr(getattr(fn, "__func__", fn), "__code__", None)
    if code is None:
        code = getattr(vars(type(fn)).get("__call__"), "__code__", None)  # an object that can be called
    return 0 if code is None else int(code.co_flags)


def _delays(given: Any, retries: int) -> float | int | list[float]:
    delays = given(retries) if callable(given) else given
    if isinstance(delays, (list, tuple)):
        if len(delays) > 50:
            raise ValueError("there can be at most 50 different retry delays")
        return list(delays) or 0
    return delays  # type: ignore[no-any-return]


def _assets(given: Iterable[Asset | str] | None) -> tuple[Asset, ...]:
    if given is None:
        return ()
    from sempre.sdk.assets import asset_of

    return tuple(map(asset_of, given))


def _jitter(factor: float | None) -> float | None:
    if factor is not None and factor < 0:
        raise ValueError("retry_jitter_factor must not be negative")
    return factor
