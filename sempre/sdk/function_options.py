"""The options of `@flow` and `@task` for type checkers. Loaded by nothing else."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, TypedDict

from sempre.sdk.assets import Asset
from sempre.sdk.caching import CachePolicy
from sempre.sdk.context import TaskRunContext
from sempre.sdk.filesystems import FileSystem
from sempre.sdk.results.serializers import Serializer
from sempre.sdk.results.storages import Storage
from sempre.sdk.runners.base import TaskRunner
from sempre.sdk.transactions import Transaction

__all__ = ["FlowOptions", "TaskOptions"]

_Hook = Callable[[Any, Any, Any], Any]
_TransactionHook = Callable[[Transaction], Any]


class _Options(TypedDict, total=False):
    name: str | None
    description: str | None
    version: str | None
    retries: int | None
    timeout_seconds: float | None
    persist_result: bool | None
    result_storage: Storage | FileSystem | str | None
    result_serializer: Serializer | str | None
    result_storage_key: str | None
    log_prints: bool | None
    on_completion: list[_Hook] | None
    on_failure: list[_Hook] | None
    on_running: list[_Hook] | None


class FlowOptions(_Options, total=False):
    flow_run_name: str | Callable[..., str] | None
    retry_delay_seconds: float | None
    task_runner: TaskRunner | type[TaskRunner] | None
    validate_parameters: bool
    on_cancellation: list[_Hook] | None
    on_crashed: list[_Hook] | None


class TaskOptions(_Options, total=False):
    tags: Iterable[str] | None
    task_run_name: str | Callable[..., str] | None
    retry_delay_seconds: float | list[float] | list[int] | Callable[[int], list[float]] | None
    retry_jitter_factor: float | None
    retry_condition_fn: Callable[[Any, Any, Any], bool] | None
    cache_policy: CachePolicy | None
    cache_key_fn: Callable[[TaskRunContext, dict[str, Any]], str | None] | None
    cache_expiration: timedelta | None
    refresh_cache: bool | None
    asset_deps: Iterable[Asset | str] | None
    on_rollback: list[_TransactionHook] | None
    on_commit: list[_TransactionHook] | None
