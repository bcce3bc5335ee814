"""Sempre: a control plane for Python workflows that never stops.

Everything below is loaded when it is asked for first: `import sempre` alone loads nothing else.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from sempre import runtime as runtime
    from sempre.client import get_client as get_client
    from sempre.sdk.annotations import allow_failure as allow_failure
    from sempre.sdk.annotations import unmapped as unmapped
    from sempre.sdk.context import tags as tags
    from sempre.sdk.deploying.deploy import adeploy as adeploy
    from sempre.sdk.deploying.deploy import deploy as deploy
    from sempre.sdk.deploying.serving import aserve as aserve
    from sempre.sdk.deploying.serving import serve as serve
    from sempre.sdk.flows import Flow as Flow
    from sempre.sdk.flows import flow as flow
    from sempre.sdk.loggers import get_run_logger as get_run_logger
    from sempre.sdk.pausing import apause_flow_run as apause_flow_run
    from sempre.sdk.pausing import aresume_flow_run as aresume_flow_run
    from sempre.sdk.pausing import asuspend_flow_run as asuspend_flow_run
    from sempre.sdk.pausing import pause_flow_run as pause_flow_run
    from sempre.sdk.pausing import resume_flow_run as resume_flow_run
    from sempre.sdk.pausing import suspend_flow_run as suspend_flow_run
    from sempre.sdk.states import State as State
    from sempre.sdk.tasks import Task as Task
    from sempre.sdk.tasks import task as task
    from sempre.sdk.transactions import Transaction as Transaction

_HOMES = {
    "Flow": "sempre.sdk.flows",
    "State": "sempre.sdk.states",
    "Task": "sempre.sdk.tasks",
    "Transaction": "sempre.sdk.transactions",
    "adeploy": "sempre.sdk.deploying.deploy",
    "allow_failure": "sempre.sdk.annotations",
    "apause_flow_run": "sempre.sdk.pausing",
    "aresume_flow_run": "sempre.sdk.pausing",
    "aserve": "sempre.sdk.deploying.serving",
    "asuspend_flow_run": "sempre.sdk.pausing",
    "deploy": "sempre.sdk.deploying.deploy",
    "flow": "sempre.sdk.flows",
    "get_client": "sempre.client",
    "get_run_logger": "sempre.sdk.loggers",
    "pause_flow_run": "sempre.sdk.pausing",
    "resume_flow_run": "sempre.sdk.pausing",
    "serve": "sempre.sdk.deploying.serving",
    "suspend_flow_run": "sempre.sdk.pausing",
    "tags": "sempre.sdk.context",
    "task": "sempre.sdk.tasks",
    "unmapped": "sempre.sdk.annotations",
}

__all__ = [
    "Flow",
    "State",
    "Task",
    "Transaction",
    "__version__",
    "adeploy",
    "allow_failure",
    "apause_flow_run",
    "aresume_flow_run",
    "aserve",
    "asuspend_flow_run",
    "deploy",
    "flow",
    "get_client",
    "get_run_logger",
    "pause_flow_run",
    "resume_flow_run",
    "runtime",
    "serve",
    "suspend_flow_run",
    "tags",
    "task",
    "unmapped",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "runtime":
        return import_module("sempre.runtime")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'sempre' has no attribute {name!r}")
    found = getattr(import_module(home), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
