"""The options of a deployment, as type checkers see them, and the one that there is not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from sempre.schemas.concurrency import ConcurrencyLimitConfig
    from sempre.sdk.deploying.entrypoints import EntrypointType
    from sempre.sdk.deploying.schedules import Schedule

__all__ = ["NO_SLA", "CommonOptions", "DeploymentOptions", "PoolOptions"]

NO_SLA = (
    "service level agreements are not kept here. An automation tells of runs that are late, or take too long: give the "
    "deployment `triggers`, or see `sempre automation create`."
)


class CommonOptions(TypedDict, total=False):
    """What every deployment can say; one of the first five says when it runs by itself."""

    interval: timedelta | float | Iterable[timedelta | float] | None
    cron: str | Iterable[str] | None
    rrule: str | Iterable[str] | None
    schedule: Schedule | Mapping[str, Any] | Any
    schedules: Iterable[Any] | None
    paused: bool | None
    triggers: Iterable[Any] | None
    parameters: Mapping[str, Any] | None
    description: str | None
    tags: Iterable[str] | None
    version: str | None
    version_type: str | None
    enforce_parameter_schema: bool
    entrypoint_type: EntrypointType | str


class PoolOptions(CommonOptions, total=False):
    """And what those say whose runs workers execute."""

    concurrency_limit: int | ConcurrencyLimitConfig | Mapping[str, Any] | None
    work_queue_name: str | None
    job_variables: Mapping[str, Any] | None


class DeploymentOptions(PoolOptions, total=False):
    work_pool_name: str | None
