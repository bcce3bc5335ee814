"""Where submitted tasks are executed."""

from sempre.sdk.runners.base import TaskRunner
from sempre.sdk.runners.dask_cluster import DaskTaskRunner
from sempre.sdk.runners.processes import ProcessPoolTaskRunner
from sempre.sdk.runners.ray_cluster import RayTaskRunner
from sempre.sdk.runners.threads import ThreadPoolTaskRunner

ConcurrentTaskRunner = ThreadPoolTaskRunner

__all__ = [
    "ConcurrentTaskRunner",
    "DaskTaskRunner",
    "ProcessPoolTaskRunner",
    "RayTaskRunner",
    "TaskRunner",
    "ThreadPoolTaskRunner",
]
