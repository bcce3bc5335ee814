"""Deployments, their runs and their schedules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from sempre.client import models
from sempre.client.bodies import Given, body_of, filters, path_part, plain, state_body
from sempre.client.calls.base import Calls, new_key

__all__ = ["DeploymentCalls"]


class DeploymentCalls(Calls):
    async def create_deployment(self, flow_id: UUID | str, name: str, **fields: Any) -> UUID:
        """Create a deployment, or replace the one of this flow with the same name. Returns its id.

        `fields` are those of `sempre.schemas.deployments.DeploymentCreate`, for instance `work_pool_name`,
        `schedules`, `parameters`, `job_variables`, `pull_steps`, `entrypoint`; None means not given.
        """
        body = body_of(flow_id=flow_id, name=name, **fields)
        return UUID((await self._value("POST", "/deployments/", body))["id"])

    async def update_deployment(
        self, deployment_id: UUID | str, deployment: Given | None = None, **fields: Any
    ) -> None:
        """Change what is given, as `sempre.schemas.deployments.DeploymentUpdate` or by its fields."""
        await self._request("PATCH", f"/deployments/{path_part(deployment_id)}", body_of(deployment, **fields))

    async def read_deployment(self, deployment_id: UUID | str) -> models.DeploymentResponse:
        return await self._one(models.DeploymentResponse, "GET", f"/deployments/{path_part(deployment_id)}")

    async def read_deployment_by_name(self, name: str) -> models.DeploymentResponse:
        """The deployment called `flow name/deployment name`. ValueError for another form."""
        flow_name, slash, deployment_name = name.partition("/")
        if not slash or not flow_name or not deployment_name:
            raise ValueError(f"{name!r} is not of the form flow/deployment")
        path = f"/deployments/name/{path_part(flow_name)}/{path_part(deployment_name)}"
        return await self._one(models.DeploymentResponse, "GET", path)

    async def read_deployments(
        self,
        *,
        flow_filter: Given | None = None,
        flow_run_filter: Given | None = None,
        task_run_filter: Given | None = None,
        deployment_filter: Given | None = None,
        work_pool_filter: Given | None = None,
        work_queue_filter: Given | None = None,
        sort: str | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[models.DeploymentResponse]:
        """The deployments that match. Without a limit as many as the server gives at once."""
        body = filters(
            flows=flow_filter, flow_runs=flow_run_filter, task_runs=task_run_filter, deployments=deployment_filter,
            work_pools=work_pool_filter, work_pool_queues=work_queue_filter,
        )  # fmt: skip
        body = body_of(body, sort=sort, limit=limit, offset=offset)
        return await self._many(models.DeploymentResponse, "POST", "/deployments/filter", body)

    async def paginate_deployments(
        self,
        *,
        flow_filter: Given | None = None,
        deployment_filter: Given | None = None,
        sort: str | None = None,
        limit: int | None = None,
        page: int = 1,
    ) -> models.DeploymentPaginationResponse:
        """One page of the deployments that match, and how many pages there are."""
        body = body_of(filters(flows=flow_filter, deployments=deployment_filter), sort=sort, limit=limit, page=page)
        return await self._one(models.DeploymentPaginationResponse, "POST", "/deployments/paginate", body)

    async def count_deployments(self, *, deployment_filter: Given | None = None) -> int:
        return int(await self._value("POST", "/deployments/count", filters(deployments=deployment_filter)))

    async def delete_deployment(self, deployment_id: UUID | str) -> None:
        await self._delete(f"/deployments/{path_part(deployment_id)}")

    async def pause_deployment(self, deployment_id: UUID | str) -> None:
        await self._request("POST", f"/deployments/{path_part(deployment_id)}/pause_deployment")

    async def resume_deployment(self, deployment_id: UUID | str) -> None:
        await self._request("POST", f"/deployments/{path_part(deployment_id)}/resume_deployment")

    async def create_flow_run_from_deployment(
        self,
        deployment_id: UUID | str,
        *,
        parameters: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
        state: Given | None = None,
        name: str | None = None,
        tags: Iterable[str] | None = None,
        idempotency_key: str | None = None,
        parent_task_run_id: UUID | None = None,
        work_queue_name: str | None = None,
        job_variables: Mapping[str, Any] | None = None,
        labels: Mapping[str, Any] | None = None,
    ) -> models.FlowRunResponse:
        """Create a run of a deployment, scheduled for now unless `state` says otherwise.

        Without an idempotency key it gets one of its own, so that a lost answer never makes a second run.
        """
        body = body_of(
            parameters=parameters, context=context, name=name, tags=sorted(tags or ()), labels=labels,
            state=state_body(state or {"type": "SCHEDULED"}), parent_task_run_id=parent_task_run_id,
            work_queue_name=work_queue_name, job_variables=job_variables,
            idempotency_key=idempotency_key or f"sempre:{new_key()}",
        )  # fmt: skip
        path = f"/deployments/{path_part(deployment_id)}/create_flow_run"
        return await self._one(models.FlowRunResponse, "POST", path, body)

    async def create_deployment_schedules(
        self, deployment_id: UUID | str, schedules: Iterable[Any]
    ) -> list[models.DeploymentSchedule]:
        """Add schedules: `DeploymentScheduleCreate`, mappings, or pairs of a schedule and whether it is active."""
        body = []
        for each in schedules:
            schedule, active = each if isinstance(each, tuple) else (None, None)
            body.append(plain(each) if schedule is None else {"schedule": plain(schedule), "active": active})
        path = f"/deployments/{path_part(deployment_id)}/schedules"
        return await self._many(models.DeploymentSchedule, "POST", path, body)

    async def read_deployment_schedules(self, deployment_id: UUID | str) -> list[models.DeploymentSchedule]:
        return await self._many(models.DeploymentSchedule, "GET", f"/deployments/{path_part(deployment_id)}/schedules")

    async def update_deployment_schedule(
        self,
        deployment_id: UUID | str,
        schedule_id: UUID | str,
        active: bool | None = None,
        schedule: Given | None = None,
        **fields: Any,
    ) -> None:
        """Change what is given, by the fields of `sempre.schemas.deployments.DeploymentScheduleUpdate`."""
        path = f"/deployments/{path_part(deployment_id)}/schedules/{path_part(schedule_id)}"
        await self._request("PATCH", path, body_of(active=active, schedule=schedule, **fields))

    async def delete_deployment_schedule(self, deployment_id: UUID | str, schedule_id: UUID | str) -> None:
        await self._delete(f"/deployments/{path_part(deployment_id)}/schedules/{path_part(schedule_id)}")
