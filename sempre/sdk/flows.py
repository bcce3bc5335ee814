"""Flows: functions whose calls are runs that the server knows.

This module is what `from sempre import flow` loads, so it imports next to nothing. The engine comes with the first
call.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Generic, Literal, NoReturn, ParamSpec, TypeVar, overload

from sempre.sdk.tasks import is_coroutine_function, is_generator_function

if TYPE_CHECKING:
    from typing import Unpack
    from uuid import UUID

    from sempre.sdk.deploying.images import DockerImage
    from sempre.sdk.deploying.options import CommonOptions, DeploymentOptions, PoolOptions
    from sempre.sdk.deploying.runner_deployment import RunnerDeployment
    from sempre.sdk.deploying.storages import CodeStorage
    from sempre.sdk.filesystems import FileSystem
    from sempre.sdk.function_options import FlowOptions
    from sempre.sdk.parameters import Signature
    from sempre.sdk.results.serializers import Serializer
    from sempre.sdk.results.storages import Storage
    from sempre.sdk.runners.base import TaskRunner
    from sempre.sdk.runs import FlowRun
    from sempre.sdk.states import State

    Hook = Callable[["Flow[..., Any]", FlowRun, State[Any]], Any]

__all__ = ["Flow", "flow"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Flow(Generic[P, R]):
    """A function made a flow by :func:`flow`. See there for the options."""

    fn: Callable[P, R]

    def __init__(
        self,
        fn: Callable[P, R],
        *,
        name: str | None = None,
        version: str | None = None,
        flow_run_name: str | Callable[..., str] | None = None,
        retries: int | None = None,
        retry_delay_seconds: float | None = None,
        task_runner: TaskRunner | type[TaskRunner] | None = None,
        description: str | None = None,
        timeout_seconds: float | None = None,
        validate_parameters: bool = True,
        persist_result: bool | None = None,
        result_storage: Storage | FileSystem | str | None = None,
        result_serializer: Serializer | str | None = None,
        result_storage_key: str | None = None,
        log_prints: bool | None = None,
        on_completion: list[Hook] | None = None,
        on_failure: list[Hook] | None = None,
        on_cancellation: list[Hook] | None = None,
        on_crashed: list[Hook] | None = None,
        on_running: list[Hook] | None = None,
    ) -> None:
        if not callable(fn):
            raise TypeError(f"@flow makes flows of functions, not of {type(fn).__name__}")
        functools.update_wrapper(self, fn)
        self.fn = fn
        self.isasync = is_coroutine_function(fn)
        self.isgenerator = is_generator_function(fn)
        self.name: str = name or getattr(fn, "__name__", type(fn).__name__).strip("<>").replace("_", "-")
        if any(character in self.name for character in "/%&<>"):
            raise ValueError(f"The name of a flow cannot contain any of / % & < >, as {self.name!r} does.")
        self.description = description or fn.__doc__
        self.flow_run_name = flow_run_name
        self.task_runner = task_runner
        self.timeout_seconds = float(timeout_seconds) if timeout_seconds else None
        self.should_validate_parameters = validate_parameters
        self.persist_result = persist_result
        self.result_storage = result_storage
        self.result_serializer = result_serializer
        self.result_storage_key = result_storage_key
        self.log_prints = log_prints
        self.on_completion_hooks = list(on_completion or ())
        self.on_failure_hooks = list(on_failure or ())
        self.on_cancellation_hooks = list(on_cancellation or ())
        self.on_crashed_hooks = list(on_crashed or ())
        self.on_running_hooks = list(on_running or ())
        self._version = version
        self._retries = retries
        self._retry_delay_seconds = retry_delay_seconds
        self._entrypoint: str | None = None
        self._storage: CodeStorage | None = None

    # Calling

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def __call__(  # of functions without hints, which would match the next one
        self: Flow[..., NoReturn],
        *args: Any,
        return_state: Literal[True],
        wait_for: Iterable[Any] | None = None,
        **kwargs: Any,
    ) -> State[Any]: ...
    @overload
    def __call__(
        self: Flow[..., Coroutine[Any, Any, T]],
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
        """Run the flow here and now, inside of another flow as its subflow; what it returns or raises is returned and
        raised. ``return_state``: return the final state instead. ``wait_for``: futures that have to complete before.
        """
        from sempre.sdk.engine.calls import call_flow

        return_state, wait_for = kwargs.pop("return_state", False), kwargs.pop("wait_for", None)
        return call_flow(self, args, kwargs, wait_for, return_state)

    # Changing

    def with_options(self, **options: Unpack[FlowOptions]) -> Flow[P, R]:
        """The same flow with other options, those of :func:`flow`; what is not named stays."""
        changed = type(self)(self.fn, **{**self._options(), **options})
        changed._entrypoint, changed._storage = self._entrypoint, self._storage
        return changed

    def _options(self) -> dict[str, Any]:
        names = (
            "name", "description", "flow_run_name", "task_runner", "timeout_seconds", "persist_result",
            "result_storage", "result_serializer", "result_storage_key", "log_prints",
        )  # fmt: skip
        hooks = ("on_completion", "on_failure", "on_cancellation", "on_crashed", "on_running")
        return (
            {name: getattr(self, name) for name in names}
            | {name: getattr(self, f"_{name}") for name in ("version", "retries", "retry_delay_seconds")}
            | {name: list(getattr(self, f"{name}_hooks")) for name in hooks}
            | {"validate_parameters": self.should_validate_parameters}
        )

    def on_completion(self, fn: Hook) -> Hook:
        self.on_completion_hooks.append(fn)
        return fn

    def on_failure(self, fn: Hook) -> Hook:
        self.on_failure_hooks.append(fn)
        return fn

    def on_cancellation(self, fn: Hook) -> Hook:
        self.on_cancellation_hooks.append(fn)
        return fn

    def on_crashed(self, fn: Hook) -> Hook:
        self.on_crashed_hooks.append(fn)
        return fn

    def on_running(self, fn: Hook) -> Hook:
        self.on_running_hooks.append(fn)
        return fn

    def __get__(self, instance: Any, owner: type | None = None) -> Flow[..., R]:
        """As a method: the flow with its first argument bound."""
        if instance is None:
            return self
        bound = self.with_options()
        bound.fn = self.fn.__get__(instance, owner)
        return bound

    # Deploying

    def to_deployment(self, name: str, **options: Unpack[DeploymentOptions]) -> RunnerDeployment:
        """A deployment of this flow, for `serve(...)` or `deploy(...)`. Nothing is sent yet.

        - ``interval`` (seconds), ``cron``, ``rrule``, ``schedule`` or ``schedules``: when it runs by itself
        - ``triggers``: events upon which it runs
        - ``parameters`` of its runs, ``enforce_parameter_schema``: whether they are checked when a run is created
        - ``description``, ``tags``, ``version`` and ``version_type``; ``paused``: schedules stand still
        - ``concurrency_limit``: a number, or ConcurrencyLimitConfig
        - ``work_pool_name``, ``work_queue_name``, ``job_variables``: for workers
        - ``entrypoint_type``: name the flow by its file, or by its module

        Raises ConfigurationError, and ParameterTypeError for parameters that the flow does not take.
        """
        from sempre.sdk.deploying.flow_methods import to_deployment

        return to_deployment(self, name, **options)

    async def ato_deployment(self, name: str, **options: Unpack[DeploymentOptions]) -> RunnerDeployment:
        """See :meth:`to_deployment`."""
        from sempre.sdk.deploying.flow_methods import ato_deployment

        return await ato_deployment(self, name, **options)

    def serve(
        self,
        name: str | None = None,
        *,
        global_limit: Any = None,
        limit: int | None = -1,
        pause_on_shutdown: bool = True,
        print_starting_message: bool = True,
        webserver: bool = False,
        **options: Unpack[CommonOptions],
    ) -> None:
        """Execute runs of a deployment of this flow, called ``name`` (default: the flow's), until SIGINT or SIGTERM.

        ``limit``: most runs at once here; ``global_limit``: everywhere. For the rest see :meth:`to_deployment` and
        `serve`.
        """
        from sempre.sdk.deploying.flow_methods import serve_flow

        running = {
            "limit": limit,
            "pause_on_shutdown": pause_on_shutdown,
            "print_starting_message": print_starting_message,
            "webserver": webserver,
        }
        serve_flow(self, name, global_limit, running, options)

    def deploy(
        self,
        name: str,
        work_pool_name: str | None = None,
        image: str | DockerImage | None = None,
        build: bool = True,
        push: bool = True,
        print_next_steps: bool = True,
        ignore_warnings: bool = False,
        **options: Unpack[PoolOptions],
    ) -> UUID:
        """Make a deployment known whose runs the workers of a pool execute; returns its id. See :meth:`to_deployment`
        and `deploy`."""
        from sempre.sdk.deploying.flow_methods import deploy

        return deploy(self, name, work_pool_name, image, build, push, print_next_steps, ignore_warnings, options)

    async def adeploy(
        self,
        name: str,
        work_pool_name: str | None = None,
        image: str | DockerImage | None = None,
        build: bool = True,
        push: bool = True,
        print_next_steps: bool = True,
        ignore_warnings: bool = False,
        **options: Unpack[PoolOptions],
    ) -> UUID:
        """See :meth:`deploy`."""
        from sempre.sdk.deploying.flow_methods import adeploy

        return await adeploy(self, name, work_pool_name, image, build, push, print_next_steps, ignore_warnings, options)

    @classmethod
    def from_source(cls, source: Any, entrypoint: str) -> Flow[Any, Any]:
        """The flow at an entrypoint of code that lies elsewhere: a directory, the URL of a git repository or of a
        storage, or one of GitRepository, RemoteStorage, LocalStorage. The code is pulled to look at it; who executes
        runs pulls it again. Raises ConfigurationError, GitError, MissingFlowError, ScriptError."""
        from sempre.sdk.deploying.flow_methods import from_source

        return from_source(source, entrypoint)

    @classmethod
    async def afrom_source(cls, source: Any, entrypoint: str) -> Flow[Any, Any]:
        """See :meth:`from_source`."""
        from sempre.sdk.deploying.flow_methods import afrom_source

        return await afrom_source(source, entrypoint)

    # What the engine asks

    @functools.cached_property
    def signature(self) -> Signature:
        from sempre.sdk.parameters import Signature

        return Signature(self.fn, self.name)

    @functools.cached_property
    def task_key(self) -> str:
        """Names the function where the flow is a part of another one's run."""
        from sempre.sdk.task_keys import task_key

        return task_key(self.fn, self.name)

    @functools.cached_property
    def version(self) -> str | None:
        """What was given, else a hash of the file that the function is in; None if there is no file."""
        if self._version is not None:
            return self._version
        from sempre.sdk.task_keys import source_hash

        return source_hash(self.fn)

    @property
    def retries(self) -> int:
        if self._retries is not None:
            return self._retries
        from sempre.settings import get_current_settings

        return get_current_settings().flows.default_retries

    @property
    def retry_delay_seconds(self) -> float:
        if self._retry_delay_seconds is not None:
            return self._retry_delay_seconds
        from sempre.settings import get_current_settings

        return get_current_settings().flows.default_retry_delay_seconds

    @property
    def parameters(self) -> dict[str, Any]:
        """The JSON schema of the parameters, as deployments carry it."""
        return self.signature.json_schema()

    def validate_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """The parameters as the type hints want them. Raises ParameterTypeError."""
        return self.signature.validate(parameters)

    def new_task_runner(self) -> TaskRunner:
        """A runner for one run of the flow."""
        if self.task_runner is None:
            from sempre.sdk.runners.threads import ThreadPoolTaskRunner

            return ThreadPoolTaskRunner()
        return self.task_runner() if isinstance(self.task_runner, type) else self.task_runner.duplicate()

    def hooks_for(self, state: State[Any]) -> list[Hook]:
        if state.is_completed():
            return self.on_completion_hooks
        if state.is_failed():
            return self.on_failure_hooks
        return self.on_crashed_hooks if state.is_crashed() else []

    def run_name(self, parameters: dict[str, Any], default: str) -> str:
        from sempre.sdk.run_names import run_name

        return run_name(self.flow_run_name, parameters, default)

    def __repr__(self) -> str:
        return f"<Flow {self.name!r}>"


class _FlowDecorator:
    """Make a flow of a function: `@flow`, or `@flow(option=...)`.

    - ``name`` (the function's with dashes by default), ``description``, ``version``; ``flow_run_name``: a template
      of parameters (``"load-{day}"``) or a function that returns the name
    - ``retries``, ``retry_delay_seconds``; ``timeout_seconds`` of one attempt
    - ``task_runner``: where submitted tasks run
    - ``validate_parameters``: whether arguments are checked against, and converted to, their type hints
    - ``persist_result``, ``result_storage``, ``result_serializer``, ``result_storage_key``: whether, where, how and
      under which name values are kept, of the flow's tasks too unless they say otherwise
    - ``log_prints``: `print` logs
    - ``on_completion``, ``on_failure``, ``on_cancellation``, ``on_crashed``, ``on_running``: hooks
      ``(flow, flow_run, state)``

    Raises TypeError for options that there are not.
    """

    from_source = staticmethod(Flow.from_source)
    afrom_source = staticmethod(Flow.afrom_source)

    @overload
    def __call__(self, fn: Callable[P, R], /, **options: Unpack[FlowOptions]) -> Flow[P, R]: ...
    @overload
    def __call__(
        self, fn: None = None, /, **options: Unpack[FlowOptions]
    ) -> Callable[[Callable[P, R]], Flow[P, R]]: ...
    def __call__(self, fn: Callable[P, R] | None = None, /, **options: Any) -> Any:
        if fn is None:
            return functools.partial(_decorate, options)
        return Flow(fn, **options)


flow = _FlowDecorator()


def _decorate(options: dict[str, Any], fn: Callable[P, R]) -> Flow[P, R]:
    return Flow(fn, **options)
