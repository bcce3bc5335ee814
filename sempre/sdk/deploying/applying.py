"""Deployments on their way to the server: what is sent, and that sending it twice changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sempre.client import ObjectNotFound, SyncClient, backstage, get_client
from sempre.sdk.api import ClientOrchestrator, to_jsonable
from sempre.sdk.deploying.concurrency import limit_fields
from sempre.sdk.deploying.triggers import automation_of

if TYPE_CHECKING:
    from sempre.schemas.deployments import DeploymentResponse
    from sempre.sdk.deploying.runner_deployment import RunnerDeployment

__all__ = ["apply", "deployment_body"]


def apply(deployment: RunnerDeployment, work_pool_name: str | None = None, image: str | None = None) -> UUID:
    """See :meth:`RunnerDeployment.apply`."""
    client = get_client(sync_client=True)
    before = _existing(client, deployment.full_name)
    body = deployment_body(deployment, work_pool_name, image)
    body["schedules"] = _schedules(deployment, before)
    if before is not None and any(each.get("replaces") for each in body["schedules"]):
        # Only a change can rename a schedule; creating replaces all of them by new ones.
        _call("PATCH", f"/deployments/{before.id}", {name: body[name] for name in body if name != "name"})
        id = before.id
    else:
        body["flow_id"] = str(client.create_flow_from_name(deployment.flow_name))
        id = UUID(_call("POST", "/deployments/", body)["id"])
    _replace_automations(client, id, deployment)
    return id


def _call(method: str, path: str, body: dict[str, Any]) -> Any:
    """With its nulls, which clear what a deployment had; the client's own calls mean "not given" by them."""
    return backstage.run(ClientOrchestrator().call(method, path, body))


def deployment_body(
    deployment: RunnerDeployment, work_pool_name: str | None = None, image: str | None = None
) -> dict[str, Any]:
    """The fields of the API's deployment, without flow and schedules: all of them, because the deployment is to be as
    it is described here, whatever it was. Only whether it is paused is left to those who look after it."""
    pool = deployment.work_pool_name or work_pool_name
    variables = dict(deployment.job_variables)
    if image:
        variables["image"] = image
    body: dict[str, Any] = {
        "name": deployment.name,
        "entrypoint": deployment.entrypoint,
        "description": deployment.description,
        "version": deployment.version,
        "tags": list(deployment.tags),
        "parameters": to_jsonable(dict(deployment.parameters)),
        "parameter_openapi_schema": dict(deployment.parameter_openapi_schema),
        "enforce_parameter_schema": deployment.enforce_parameter_schema,
        "pull_steps": _pull_steps(deployment, pool),
        "work_pool_name": pool,
        "work_queue_name": deployment.work_queue_name,
        "job_variables": to_jsonable(variables),
        **limit_fields(deployment.concurrency_limit),
    }
    if deployment.version_type is not None:
        body["version_info"] = {"type": deployment.version_type, "version": deployment.version or ""}
    if deployment.paused is not None:
        body["paused"] = deployment.paused
    body["path"] = deployment.path if deployment.path is not None or pool is not None else "."
    return body


def _pull_steps(deployment: RunnerDeployment, pool: str | None) -> list[Any]:
    if deployment.pull_steps is not None:
        return list(deployment.pull_steps)
    return [] if pool is None or deployment.storage is None else [deployment.storage.to_pull_step()]


def _existing(client: SyncClient, full_name: str) -> DeploymentResponse | None:
    try:
        return client.read_deployment_by_name(full_name)
    except ObjectNotFound:
        return None


def _schedules(deployment: RunnerDeployment, before: DeploymentResponse | None) -> list[dict[str, Any]]:
    """An interval that says nothing of its anchor goes on from the anchor it had, so that deploying again does not
    move its runs."""
    now = datetime.now(UTC)
    told = []
    known = [each.schedule.model_dump(mode="json") for each in before.schedules] if before else []
    for schedule in deployment.schedules:
        one = schedule.to_json(now)
        if schedule.interval is not None and schedule.anchor_date is None:
            one["schedule"]["anchor_date"] = _anchor(one["schedule"], known)
        one["parameters"] = to_jsonable(one["parameters"])
        told.append(one)
    return told


def _anchor(interval: Mapping[str, Any], known: list[dict[str, Any]]) -> Any:
    for each in known:
        if each.get("interval") == interval["interval"] and each.get("timezone") == interval["timezone"]:
            return each["anchor_date"]
    return interval["anchor_date"]


def _replace_automations(client: SyncClient, id: UUID, deployment: RunnerDeployment) -> None:
    client.delete_resource_owned_automations(f"prefect.deployment.{id}")
    for number, trigger in enumerate(deployment.triggers, 1):
        client.create_automation(automation_of(trigger, id, f"{deployment.name}__automation_{number}"))
