"""Loggers of runs: to the terminal, and to the API with the ids of the run."""

from __future__ import annotations

import builtins
import logging
import sys
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from sempre.sdk.context import FlowRunContext, TaskRunContext
from sempre.sdk.errors import MissingContextError
from sempre.settings import get_current_settings

if TYPE_CHECKING:
    from sempre.sdk.flows import Flow
    from sempre.sdk.runs import FlowRun, TaskRun

    _Adapter: TypeAlias = logging.LoggerAdapter[logging.Logger]
else:
    _Adapter = logging.LoggerAdapter

__all__ = ["RunLogger", "capture_prints", "disable_run_logger", "flow_logger", "get_logger", "get_run_logger", "setup"]

_RESERVED_BYTES = 300  # of a record, beside its message


class RunLogger(_Adapter):
    """A logger whose lines belong to a run."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs

    def getChild(self, suffix: str, extra: dict[str, Any] | None = None) -> RunLogger:
        return RunLogger(self.logger.getChild(suffix), {**(self.extra or {}), **(extra or {})})


def get_logger(name: str | None = None) -> logging.Logger:
    """A logger below `sempre`. Its lines go to the terminal only; those of :func:`get_run_logger` also to the API."""
    setup()
    if name is None:
        return logging.getLogger("sempre")
    return logging.getLogger(name if name.split(".")[0] == "sempre" else f"sempre.{name}")


def get_run_logger(context: Any = None, **extra: Any) -> RunLogger:
    """The logger of the run around the caller. Raises MissingContextError outside of runs."""
    task = context if isinstance(context, TaskRunContext) else TaskRunContext.get()
    flow = context if isinstance(context, FlowRunContext) else FlowRunContext.get()
    if task is not None:
        logger = task_logger(task.task_run, task.task.name, flow)
    elif flow is not None:
        logger = flow_logger(flow.flow_run, flow.flow)
    else:
        raise MissingContextError("There is no run here whose logger this could be; use get_logger() outside of runs.")
    return RunLogger(logger.logger, {**(logger.extra or {}), **extra}) if extra else logger


def task_logger(run: TaskRun, task_name: str, flow: FlowRunContext | None) -> RunLogger:
    setup()
    return RunLogger(
        _TASKS,
        {
            "task_run_id": str(run.id),
            "flow_run_id": None if run.flow_run_id is None else str(run.flow_run_id),
            "task_run_name": run.name,
            "task_name": task_name,
            "flow_run_name": "" if flow is None else flow.flow_run.name,
            "flow_name": "" if flow is None else flow.flow.name,
        },
    )


def flow_logger(run: FlowRun, flow: Flow[Any, Any]) -> RunLogger:
    setup()
    return RunLogger(_FLOWS, {"flow_run_id": str(run.id), "flow_run_name": run.name, "flow_name": flow.name})


_FLOWS = logging.getLogger("sempre.flow_runs")
_TASKS = logging.getLogger("sempre.task_runs")
_is_set_up = False


def setup() -> None:
    """Levels and handlers as the settings say; once per process."""
    global _is_set_up
    if _is_set_up:
        return
    _is_set_up = True
    settings = get_current_settings().logging
    top = logging.getLogger("sempre")
    if top.level == logging.NOTSET:
        top.setLevel(settings.level)
    if not top.handlers:
        console = logging.StreamHandler()
        console.setFormatter(_ConsoleFormatter())
        top.addHandler(console)
        top.propagate = False
    if settings.to_api_enabled:
        to_api = ApiLogHandler(settings.to_api_max_log_size)
        for logger in (_FLOWS, _TASKS, *map(logging.getLogger, settings.extra_loggers)):
            logger.addHandler(to_api)


class ApiLogHandler(logging.Handler):
    """Hands the lines of runs to the backstage, which sends them in batches. Never blocks, never raises."""

    def __init__(self, longest: int) -> None:
        super().__init__()
        self._longest = longest

    def emit(self, record: logging.LogRecord) -> None:
        from sempre.sdk.engine.world import current_world

        try:
            ids = _ids(record)
            if ids is None:
                return
            message = self.format(record)
            room = self._longest - _RESERVED_BYTES
            if len(message) > room // 4 and len(message.encode(errors="replace")) > room:
                message = message.encode(errors="replace")[:room].decode(errors="ignore") + "... [truncated]"
            current_world().log(
                {
                    "name": record.name,
                    "level": record.levelno,
                    "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
                    "message": message,
                    "flow_run_id": ids[0],
                    "task_run_id": ids[1],
                }
            )
        except Exception:
            self.handleError(record)


def _ids(record: logging.LogRecord) -> tuple[str | None, str | None] | None:
    """Flow run and task run of a line: its own, or those around whoever logs."""
    if getattr(record, "send_to_api", True) is False:
        return None
    flow, task = getattr(record, "flow_run_id", None), getattr(record, "task_run_id", None)
    if flow is None and task is None:
        flow_context, task_context = FlowRunContext.get(), TaskRunContext.get()
        flow = None if flow_context is None else flow_context.flow_run.id
        task = None if task_context is None else task_context.task_run.id
        if flow is None and task is None:
            return None
    return (None if flow is None else str(flow), None if task is None else str(task))


class _ConsoleFormatter(logging.Formatter):
    """`12:30:59.123 | INFO    | Flow run 'amber-otter' - the line`"""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S.%f")[:-3]
        if task := getattr(record, "task_run_name", None):
            who = f"Task run {task!r} - "
        elif flow := getattr(record, "flow_run_name", None):
            who = f"Flow run {flow!r} - "
        else:
            who = f"{record.name} - "
        return f"{at} | {record.levelname:<7} | {who}{text}"


class disable_run_logger:
    """Inside of the block runs log nothing, as for unit tests of flow and task functions."""

    def __enter__(self) -> None:
        self._before = (_FLOWS.disabled, _TASKS.disabled)
        _FLOWS.disabled = _TASKS.disabled = True

    def __exit__(self, *_: object) -> None:
        _FLOWS.disabled, _TASKS.disabled = self._before


_print = builtins.print


def capture_prints() -> None:
    """From now on what is printed inside of runs with ``log_prints`` is logged by them; anything else is printed."""
    if builtins.print is _print:
        builtins.print = _print_or_log


def _print_or_log(*args: Any, **kwargs: Any) -> None:
    context = TaskRunContext.get() or FlowRunContext.get()
    if context is None or not context.log_prints or kwargs.get("file") not in (None, sys.stdout, sys.stderr):
        _print(*args, **kwargs)
        return
    separator = kwargs.get("sep")
    get_run_logger().info("%s", (" " if separator is None else separator).join(map(str, args)))
