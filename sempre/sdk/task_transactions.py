"""The transaction that a task's value is written in, and the key it is written under."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sempre.sdk.caching import DEFAULT, NO_CACHE, CacheKeyFnPolicy, CachePolicy
from sempre.sdk.context import FlowRunContext, TaskRunContext
from sempre.sdk.errors import HashError
from sempre.sdk.ids import now
from sempre.sdk.loggers import get_run_logger
from sempre.sdk.tasks import UNSET
from sempre.sdk.transactions import CommitMode, IsolationLevel, Transaction, get_transaction
from sempre.settings import get_current_settings

if TYPE_CHECKING:
    from sempre.sdk.tasks import Task

__all__ = ["policy_of", "task_transaction"]


def task_transaction(task: Task[Any, Any], context: TaskRunContext, persist: bool) -> Transaction | None:
    """None where it would do nothing: no result to keep, no hooks, no transaction around."""
    if not persist:
        if not (task.on_rollback_hooks or task.on_commit_hooks or get_transaction()):
            return None
        return Transaction(logger=get_run_logger())
    policy = policy_of(task)
    key = _key(task, context, policy)
    context.task_run.cache_key = key
    level = None if policy.isolation_level is None else IsolationLevel(policy.isolation_level)
    refresh = task.refresh_cache
    return Transaction(
        key=_storage_key(task, context) or key,
        store=context.result_store.with_options(policy.key_storage, None, policy.lock_manager),
        commit_mode=CommitMode.EAGER if get_transaction() is None else None,
        isolation_level=level,
        overwrite=get_current_settings().tasks.refresh_cache if refresh is None else refresh,
        expiration=lambda: _expiration(task),
        logger=get_run_logger(),
    )


def policy_of(task: Task[Any, Any]) -> CachePolicy:
    """The policy that a task's options amount to."""
    if task.cache_key_fn is not None:
        return CacheKeyFnPolicy(cache_key_fn=task.cache_key_fn)
    if task.cache_policy is not UNSET:
        return task.cache_policy if isinstance(task.cache_policy, CachePolicy) else NO_CACHE
    if task.result_storage_key is not None or get_current_settings().tasks.disable_caching:
        return NO_CACHE
    return DEFAULT


def _key(task: Task[Any, Any], context: TaskRunContext, policy: CachePolicy) -> str | None:
    flow = FlowRunContext.get()
    try:
        key = policy.compute_key(context, _inputs(task, context), {} if flow is None else flow.parameters)
    except HashError as error:
        get_run_logger().warning(f"This call is not cached: {error}")
        return None
    return key


def _inputs(task: Task[Any, Any], context: TaskRunContext) -> dict[str, Any]:
    """The arguments, and the object whose method the task is: two objects' methods are not the same call."""
    instance = getattr(task.fn, "__self__", None)
    return context.parameters if instance is None else {"self": instance, **context.parameters}


def _storage_key(task: Task[Any, Any], context: TaskRunContext) -> str | None:
    if task.result_storage_key is None:
        return None
    from sempre import runtime

    flow = FlowRunContext.get()
    parameters = context.parameters
    return task.result_storage_key.format(
        **parameters,
        parameters=parameters,
        flow_run=None if flow is None else runtime.flow_run,
        task_run=runtime.task_run,
        runtime=runtime,
    )


def _expiration(task: Task[Any, Any]) -> datetime | None:
    return None if task.cache_expiration is None else now() + task.cache_expiration
