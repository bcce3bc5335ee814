"""What an automation must satisfy beyond its own form."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sempre.db.pool import Executor
from sempre.schemas.actions import Action, RunDeployment
from sempre.server.errors import NotFound, Unprocessable
from sempre.server.scope import Scope
from sempre.server.work_pools.job_variables import check_job_variables

__all__ = ["check_actions", "deployments_run"]

_PREFIX = "Error creating automation"


def deployments_run(*action_lists: list[Action]) -> list[str]:
    """Resource ids of the deployments that are selected to be run."""
    return [
        f"prefect.deployment.{action.deployment_id}"
        for actions in action_lists
        for action in actions
        if isinstance(action, RunDeployment) and action.source == "selected"
    ]


async def check_actions(scope: Scope, actions: Iterable[Action], *, empty_too: bool) -> None:
    """Check the job variables of deployments to be run, required ones included.

    ``empty_too``: whether an empty set of variables is checked. Raises NotFound for an unknown deployment,
    Unprocessable with the problems of all actions.
    """
    problems: list[str] = []
    for action in actions:
        if not isinstance(action, RunDeployment) or action.deployment_id is None:
            continue
        variables: dict[str, Any] | None = action.job_variables
        if variables is None or not (variables or empty_too):
            continue
        if not await _deployment_exists(scope.db, scope.workspace_id, action.deployment_id):
            raise NotFound("Deployment not found.")
        try:
            await check_job_variables(scope, action.deployment_id, variables, required=True, prefix=_PREFIX)
        except Unprocessable as error:
            problems.append(error.detail.removeprefix(f"{_PREFIX}: "))
    if problems:
        raise Unprocessable(f"{_PREFIX}: {' '.join(problems)}")


async def _deployment_exists(db: Executor, workspace_id: UUID, id: UUID) -> bool:
    found = await db.fetchval("SELECT true FROM deployment WHERE id = $1 AND workspace_id = $2", id, workspace_id)
    return found is not None
