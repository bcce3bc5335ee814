"""Tasks."""

from sempre.sdk.caching import task_input_hash
from sempre.sdk.tasks import Task, exponential_backoff, task

__all__ = ["Task", "exponential_backoff", "task", "task_input_hash"]
