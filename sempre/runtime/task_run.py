"""The task run that the caller is a part of."""

from typing import Any

from sempre.sdk.context import TaskRunContext
from sempre.sdk.engine.runtime_facts import run_url

__all__ = ["api_url", "id", "name", "parameters", "run_count", "tags", "task_name", "ui_url"]

# For type checkers: the values come from `__getattr__`.
id: str | None
name: str | None
tags: list[str]
parameters: dict[str, Any]
run_count: int
task_name: str | None
api_url: str | None
ui_url: str | None

_NOTHING: dict[str, Any] = {"tags": [], "parameters": {}, "run_count": 0}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'sempre.runtime.task_run' has no attribute {name!r}")
    context = TaskRunContext.get()
    if context is None:
        return _NOTHING.get(name)
    if name == "task_name":
        return context.task.name
    if name == "parameters":
        return dict(context.parameters)
    if name in ("api_url", "ui_url"):
        return run_url("task_run", name.removesuffix("_url"))
    value = getattr(context.task_run, name)
    return str(value) if name == "id" else value
