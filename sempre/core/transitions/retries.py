"""Automatic retries: when a failure becomes AwaitingRetry, and when the next attempt is due."""

from dataclasses import replace
from datetime import datetime, timedelta

from sempre.core.jitter import clamped_exponential
from sempre.core.states import Claimant, StateDetails, StateType
from sempre.core.transitions.flow_context import FlowContext
from sempre.core.transitions.model import Proposal, TaskRunPolicy
from sempre.core.transitions.rules import AWAITING_RETRY, Stop, substitute
from sempre.core.transitions.task_context import TaskContext

__all__ = ["retry_flow", "retry_lost_flow", "retry_task", "task_retry_delay"]

_REASON = "Retrying"
_RETRY_TYPES_SINCE = (0, 8, 4)


def retry_flow(context: FlowContext) -> Stop | None:
    """RUNNING -> FAILED of a flow run: retry in the same process while the policy allows it."""
    run, policy, api = context.run, context.run.policy, context.facts.api_version
    knows_retry_types = api is None or api >= _RETRY_TYPES_SINCE
    if policy.retries is None or run.run_count > policy.retries:
        if knows_retry_types and policy.retry_type is not None:
            context.policy = replace(policy, retry_type=None)
        return None
    if knows_retry_types:
        context.replacement_policy = replace(policy, resuming=False, pause_keys=(), retry_type="in_process")
    context.keeps_slot = True
    details = StateDetails(
        scheduled_time=_due(context.inputs.now, policy.retry_delay or 0),
        deployment_concurrency_lease_id=context.changes.get(
            "deployment_concurrency_lease_id", context.details.deployment_concurrency_lease_id
        ),
    )
    return substitute(_awaiting_retry(context.proposal, details), _REASON)


def retry_lost_flow(context: FlowContext) -> Stop | None:
    """To CRASHED, of a run whose process is gone, or that waits for a retry in it: another process takes the run, as
    often as its policy lets it fail.

    Only a run of a deployment finds another process, and only one whose policy asks for retries. Whoever had it is
    fenced off: it may only be cut off, not dead.
    """
    run, policy = context.run, context.run.policy
    if context.current.type is StateType.SCHEDULED and policy.retry_type != "in_process":
        return None
    if run.deployment_id is None or not context.facts.deployment_exists:
        return None
    if not policy.retries or run.run_count > policy.retries:
        return None
    context.replacement_policy = replace(policy, resuming=False, pause_keys=(), retry_type="reschedule")
    details = StateDetails(
        scheduled_time=_due(context.inputs.now, policy.retry_delay or 0),
        taken_back=(context.current.details.claim or Claimant(),),
    )
    return substitute(_awaiting_retry(context.proposal, details), _REASON)


def retry_task(context: TaskContext) -> Stop | None:
    """RUNNING -> FAILED of a task run: retry unless the failure says that it is not retriable."""
    policy = context.run.policy
    if context.details.retriable is False or policy.retries is None or context.run.run_count > policy.retries:
        return None
    delay = task_retry_delay(policy, context.run.run_count, context.inputs.draw)
    details = StateDetails(scheduled_time=_due(context.inputs.now, delay))
    if context.background:
        # Whoever takes the run from its queue has to find its parameters again.
        old = context.current.details
        parameters = context.details.task_parameters_id or old.task_parameters_id
        details = replace(details, deferred=True, task_parameters_id=parameters)
    return substitute(_awaiting_retry(context.proposal, details), _REASON)


def task_retry_delay(policy: TaskRunPolicy, run_count: int, draw: float) -> float:
    """Seconds until the next attempt after attempt number ``run_count`` (1 = the first).

    A list of delays is used element by element, the last one repeating. ``draw`` in [0, 1) decides the jitter.
    """
    delay = policy.retry_delay
    if isinstance(delay, tuple):
        base = delay[max(0, min(run_count, len(delay)) - 1)] if delay else 0.0
    else:
        base = delay or 0.0
    if policy.retry_jitter_factor and base > 0:
        return clamped_exponential(draw, base, policy.retry_jitter_factor)
    return base


def _due(now: datetime, delay_seconds: float) -> datetime:
    return now + timedelta(seconds=delay_seconds)


def _awaiting_retry(failure: Proposal, details: StateDetails) -> Proposal:
    return Proposal(StateType.SCHEDULED, AWAITING_RETRY, failure.message, failure.data, details)
