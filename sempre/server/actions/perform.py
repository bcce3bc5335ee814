"""Which function carries out which action."""

from collections.abc import Awaitable, Callable

from sempre.server.actions import deployments, flow_runs, messages, switches
from sempre.server.actions.invocation import Invocation, unexpected_status
from sempre.server.errors import ServiceError

__all__ = ["perform"]

Perform = Callable[[Invocation], Awaitable[None]]


async def _nothing(invocation: Invocation) -> None:
    """The firing is all that was wanted."""


_BY_TYPE: dict[str, Perform] = {
    "do-nothing": _nothing,
    "run-deployment": deployments.run,
    "pause-deployment": deployments.pause,
    "resume-deployment": deployments.resume,
    "cancel-flow-run": flow_runs.cancel,
    "suspend-flow-run": flow_runs.suspend,
    "resume-flow-run": flow_runs.resume_run,
    "change-flow-run-state": flow_runs.change_state,
    "delete-flow-run": flow_runs.delete,
    "pause-work-pool": switches.switch_work_pool,
    "resume-work-pool": switches.switch_work_pool,
    "pause-work-queue": switches.switch_work_queue,
    "resume-work-queue": switches.switch_work_queue,
    "pause-automation": switches.switch_automation,
    "resume-automation": switches.switch_automation,
    "send-notification": messages.notify,
    "call-webhook": messages.call_webhook,
}


async def perform(invocation: Invocation) -> None:
    """Carry out an action. Raises ActionFailed if that cannot be done, anything else if it may be tried again."""
    try:
        await _BY_TYPE[invocation.action.type](invocation)
    except ServiceError as error:
        raise unexpected_status(invocation.action.type, error) from error
