"""Where submitted tasks are executed."""

from sempre.sdk.runners.base import TaskRunner
from sempre.sdk.runners.processes import ProcessPoolTaskRunner
from sempre.sdk.runners.threads import ThreadPoolTaskRunner

ConcurrentTaskRunner = ThreadPoolTaskRunner

__all__ = [
    "ConcurrentTaskRunner",
    "ProcessPoolTaskRunner",
    "TaskRunner",
    "ThreadPoolTaskRunner",
]
