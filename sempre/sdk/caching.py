"""Cache policies: what makes two calls of a task the same."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sempre.sdk.hashing import hash_objects, stable_hash

if TYPE_CHECKING:
    from sempre.sdk.context import TaskRunContext
    from sempre.sdk.results.storages import Storage
    from sempre.sdk.transactions import IsolationLevel

__all__ = [
    "DEFAULT",
    "FLOW_PARAMETERS",
    "INPUTS",
    "NONE",
    "NO_CACHE",
    "RUN_ID",
    "TASK_SOURCE",
    "CacheKeyFnPolicy",
    "CachePolicy",
    "task_input_hash",
]

KeyFn = Callable[["TaskRunContext", dict[str, Any]], str | None]


@dataclass(frozen=True)
class CachePolicy:
    """Makes the key under which a task's value is kept, and looked for before the task is called.

    Policies add up (``INPUTS + TASK_SOURCE``), and leave parameters out (``INPUTS - "verbose"``).
    """

    key_storage: Storage | str | None = None
    isolation_level: IsolationLevel | str | None = None
    lock_manager: Any = None

    @property
    def caches(self) -> bool:
        return True

    @classmethod
    def from_cache_key_fn(cls, cache_key_fn: KeyFn) -> CacheKeyFnPolicy:
        return CacheKeyFnPolicy(cache_key_fn=cache_key_fn)

    def configure(
        self,
        key_storage: Storage | str | None = None,
        lock_manager: Any = None,
        isolation_level: IsolationLevel | str | None = None,
    ) -> CachePolicy:
        """The same policy with its own place for keys, locks, or isolation of calls with the same key."""
        return replace(
            self,
            key_storage=key_storage or self.key_storage,
            lock_manager=lock_manager or self.lock_manager,
            isolation_level=isolation_level or self.isolation_level,
        )

    def compute_key(
        self,
        task_ctx: TaskRunContext,
        inputs: dict[str, Any],
        flow_parameters: dict[str, Any],
        **_: Any,
    ) -> str | None:
        """The key of a call with these ``inputs``; None: no caching."""
        return None

    def __add__(self, other: CachePolicy) -> CachePolicy:
        if not isinstance(other, CachePolicy):
            return NotImplemented
        if not other.caches:
            return self
        if not self.caches:
            return other
        return _Compound(
            policies=(*_parts(self), *_parts(other)),
            key_storage=_same("key_storage", self, other),
            isolation_level=_same("isolation_level", self, other),
            lock_manager=_same("lock_manager", self, other),
        )

    def __sub__(self, name: str) -> CachePolicy:
        if not isinstance(name, str):
            raise TypeError("what is left out of a cache policy is the name of a parameter")
        return self


@dataclass(frozen=True)
class CacheKeyFnPolicy(CachePolicy):
    """The key is what a function of the user's returns: ``(context, arguments) -> text, or None for no caching``."""

    cache_key_fn: KeyFn | None = None

    def compute_key(
        self, task_ctx: TaskRunContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **_: Any
    ) -> str | None:
        return None if self.cache_key_fn is None else self.cache_key_fn(task_ctx, inputs)


@dataclass(frozen=True)
class _Compound(CachePolicy):
    policies: tuple[CachePolicy, ...] = ()

    def compute_key(
        self, task_ctx: TaskRunContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **_: Any
    ) -> str | None:
        keys = [policy.compute_key(task_ctx, inputs, flow_parameters) for policy in self.policies]
        known = [key for key in keys if key is not None]
        return stable_hash(*known) if known else None

    def __sub__(self, name: str) -> CachePolicy:
        if not any(isinstance(policy, _Inputs) for policy in self.policies):
            return replace(self, policies=(*self.policies, _Inputs(exclude=(name,))))
        return replace(self, policies=tuple(policy - name for policy in self.policies))


@dataclass(frozen=True)
class _NoCache(CachePolicy):
    @property
    def caches(self) -> bool:
        return False

    def __sub__(self, name: str) -> CachePolicy:
        return self


@dataclass(frozen=True)
class _Inputs(CachePolicy):
    exclude: tuple[str, ...] = ()

    def compute_key(
        self, task_ctx: TaskRunContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **_: Any
    ) -> str | None:
        kept = {name: value for name, value in sorted(inputs.items()) if name not in self.exclude}
        return hash_objects(kept) if kept else None

    def __sub__(self, name: str) -> CachePolicy:
        return replace(self, exclude=(*self.exclude, name))


@dataclass(frozen=True)
class _TaskSource(CachePolicy):
    def compute_key(
        self, task_ctx: TaskRunContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **_: Any
    ) -> str | None:
        fn = task_ctx.task.fn
        try:
            return stable_hash(inspect.getsource(fn))
        except (OSError, TypeError):  # made at run time: the compiled code is all that there is
            code = getattr(fn, "__code__", None)
            return None if code is None else stable_hash(code.co_code, repr(code.co_consts), repr(code.co_names))


@dataclass(frozen=True)
class _FlowParameters(CachePolicy):
    def compute_key(
        self, task_ctx: TaskRunContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **_: Any
    ) -> str | None:
        return hash_objects(flow_parameters) if flow_parameters else None


@dataclass(frozen=True)
class _RunId(CachePolicy):
    def compute_key(
        self, task_ctx: TaskRunContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **_: Any
    ) -> str | None:
        run = task_ctx.task_run
        return str(run.flow_run_id or run.id)


def task_input_hash(context: TaskRunContext, arguments: dict[str, Any]) -> str | None:
    """A ``cache_key_fn`` of the task's name, code and arguments."""
    return stable_hash(
        context.task.task_key, _TaskSource().compute_key(context, arguments, {}) or "", hash_objects(arguments)
    )


def _parts(policy: CachePolicy) -> tuple[CachePolicy, ...]:
    return policy.policies if isinstance(policy, _Compound) else (policy,)


def _same(name: str, one: CachePolicy, other: CachePolicy) -> Any:
    first, second = getattr(one, name), getattr(other, name)
    if first is not None and second is not None and first != second:
        raise ValueError(f"two cache policies with a different {name} cannot be added")
    return second if first is None else first


INPUTS = _Inputs()
TASK_SOURCE = _TaskSource()
FLOW_PARAMETERS = _FlowParameters()
RUN_ID = _RunId()
NO_CACHE = _NoCache()
NONE = NO_CACHE
DEFAULT = INPUTS + TASK_SOURCE + RUN_ID
