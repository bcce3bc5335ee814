"""Actions on deployments: starting a run, pausing, resuming."""

from datetime import UTC, datetime
from uuid import UUID

from sempre.core.states import StateType
from sempre.schemas.actions import PauseDeployment, ResumeDeployment, RunDeployment
from sempre.schemas.flow_runs import DeploymentFlowRunCreate
from sempre.schemas.states import StateCreate, StateDetails
from sempre.server.actions.invocation import ActionFailed, Invocation
from sempre.server.actions.rendering import rendered_parameters
from sempre.server.actions.targets import target_of
from sempre.server.deployments.pausing import set_paused
from sempre.server.deployments.runs import create_run
from sempre.server.errors import Conflict

__all__ = ["pause", "resume", "run"]


async def run(invocation: Invocation) -> None:
    """One run for one firing, however often it is tried: the invocation is its idempotency key."""
    action = invocation.action
    assert isinstance(action, RunDeployment)
    deployment_id = _target(invocation, action.deployment_id)
    parameters = await rendered_parameters(invocation, action.parameters or {})
    body = DeploymentFlowRunCreate(
        state=StateCreate(
            type=StateType.SCHEDULED,
            state_details=StateDetails(scheduled_time=datetime.now(UTC) + action.schedule_after),
        ),
        parameters=parameters,
        job_variables=action.job_variables,
        idempotency_key=(
            f"automation {invocation.automation_id}, action {invocation.index}, invocation {invocation.id}"
        ),
    )
    try:
        made, _ = await create_run(invocation.scope, deployment_id, body)
    except Conflict as refusal:
        raise ActionFailed(
            f"Validation error occurred for 'run-deployment' - {refusal.detail}",
            status_code=refusal.status_code,
            validation_error=refusal.detail,
        ) from refusal
    invocation.touched("flow-run", "flow-run", made["id"], made["name"])


async def pause(invocation: Invocation) -> None:
    action = invocation.action
    assert isinstance(action, PauseDeployment)
    await set_paused(invocation.scope, _target(invocation, action.deployment_id), True)


async def resume(invocation: Invocation) -> None:
    action = invocation.action
    assert isinstance(action, ResumeDeployment)
    await set_paused(invocation.scope, _target(invocation, action.deployment_id), False)


def _target(invocation: Invocation, selected: UUID | None) -> UUID:
    deployment_id = target_of(invocation, "deployment", selected)
    invocation.touched("target", "deployment", deployment_id)
    return deployment_id
