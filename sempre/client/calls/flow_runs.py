"""Flow runs: creating, reading, changing, and proposing states."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from sempre.client import models
from sempre.client.bodies import Given, body_of, filters, id_of, path_part, plain, sent_state, state_body
from sempre.client.calls.base import Calls, new_key

__all__ = ["FlowRunCalls"]


class FlowRunCalls(Calls):
    async def create_flow_run(
        self,
        flow: Any,
        name: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
        tags: Iterable[str] | None = None,
        parent_task_run_id: UUID | None = None,
        state: Given | None = None,
        work_pool_name: str | None = None,
        work_queue_name: str | None = None,
        job_variables: Mapping[str, Any] | None = None,
        *,
        flow_version: str | None = None,
        empirical_policy: Given | None = None,
        labels: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> models.FlowRunResponse:
        """Create a run of a flow: the flow's id, an object with an `id`, or one with a `name`, which is created first.

        Without an idempotency key it gets one of its own, so that a lost answer never makes a second run.
        """
        flow_id = flow if isinstance(flow, UUID | str) else getattr(flow, "id", None)
        if flow_id is None:
            flow_id = (await self._value("POST", "/flows/", {"name": flow.name}))["id"]
            flow_version = flow_version or getattr(flow, "version", None)
        body = body_of(
            flow_id=flow_id, name=name, parameters=parameters, context=context, tags=sorted(tags or ()),
            parent_task_run_id=parent_task_run_id, work_pool_name=work_pool_name, work_queue_name=work_queue_name,
            state=None if state is None else state_body(state), job_variables=job_variables,
            flow_version=flow_version, empirical_policy=empirical_policy, labels=labels,
            idempotency_key=idempotency_key or f"sempre:{new_key()}",
        )  # fmt: skip
        return await self._one(models.FlowRunResponse, "POST", "/flow_runs/", body)

    async def read_flow_run(self, flow_run_id: UUID | str) -> models.FlowRunResponse:
        return await self._one(models.FlowRunResponse, "GET", f"/flow_runs/{path_part(flow_run_id)}")

    async def read_flow_runs(
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
    ) -> list[models.FlowRunResponse]:
        """The runs that match. Without a limit as many as the server gives at once."""
        body = filters(
            flows=flow_filter, flow_runs=flow_run_filter, task_runs=task_run_filter, deployments=deployment_filter,
            work_pools=work_pool_filter, work_pool_queues=work_queue_filter,
        )  # fmt: skip
        body = body_of(body, sort=sort, limit=limit, offset=offset)
        return await self._many(models.FlowRunResponse, "POST", "/flow_runs/filter", body)

    async def paginate_flow_runs(
        self,
        *,
        flow_filter: Given | None = None,
        flow_run_filter: Given | None = None,
        deployment_filter: Given | None = None,
        work_pool_filter: Given | None = None,
        sort: str | None = None,
        limit: int | None = None,
        page: int = 1,
    ) -> models.FlowRunPaginationResponse:
        """One page of the runs that match, and how many pages there are."""
        body = filters(
            flows=flow_filter, flow_runs=flow_run_filter, deployments=deployment_filter, work_pools=work_pool_filter
        )
        body = body_of(body, sort=sort, limit=limit, page=page)
        return await self._one(models.FlowRunPaginationResponse, "POST", "/flow_runs/paginate", body)

    async def count_flow_runs(
        self,
        *,
        flow_filter: Given | None = None,
        flow_run_filter: Given | None = None,
        task_run_filter: Given | None = None,
        deployment_filter: Given | None = None,
        work_pool_filter: Given | None = None,
        work_queue_filter: Given | None = None,
    ) -> int:
        body = filters(
            flows=flow_filter, flow_runs=flow_run_filter, task_runs=task_run_filter, deployments=deployment_filter,
            work_pools=work_pool_filter, work_pool_queues=work_queue_filter,
        )  # fmt: skip
        return int(await self._value("POST", "/flow_runs/count", body))

    async def update_flow_run(
        self,
        flow_run_id: UUID | str,
        flow_version: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        name: str | None = None,
        tags: Iterable[str] | None = None,
        empirical_policy: Given | None = None,
        infrastructure_pid: str | None = None,
        job_variables: Mapping[str, Any] | None = None,
    ) -> None:
        """Change what is given and leave the rest."""
        body = body_of(
            flow_version=flow_version, parameters=parameters, name=name, empirical_policy=empirical_policy,
            tags=None if tags is None else sorted(tags), infrastructure_pid=infrastructure_pid,
            job_variables=job_variables,
        )  # fmt: skip
        await self._request("PATCH", f"/flow_runs/{path_part(flow_run_id)}", body)

    async def set_flow_run_name(self, flow_run_id: UUID | str, name: str) -> None:
        await self._request("PATCH", f"/flow_runs/{path_part(flow_run_id)}", {"name": name})

    async def update_flow_run_labels(self, flow_run_id: UUID | str, labels: Mapping[str, Any]) -> None:
        """Add labels to those the run has."""
        await self._request("PATCH", f"/flow_runs/{path_part(flow_run_id)}/labels", plain(labels))

    async def delete_flow_run(self, flow_run_id: UUID | str) -> None:
        await self._delete(f"/flow_runs/{path_part(flow_run_id)}")

    async def set_flow_run_state(
        self, flow_run_id: UUID | str, state: Given, force: bool = False
    ) -> models.OrchestrationResult:
        """Propose a state: a schema, or a mapping with `type` and perhaps `name`, `message`, `data`, `state_details`.

        `force` skips the rules. The answer says what became of it; a repeated proposal is recognised.
        """
        body = {"state": sent_state(state, new_key()), "force": force}
        return await self._one(
            models.OrchestrationResult, "POST", f"/flow_runs/{path_part(flow_run_id)}/set_state", body
        )

    async def read_flow_run_states(self, flow_run_id: UUID | str) -> list[models.State]:
        """Its history, the oldest state first."""
        return await self._many(models.State, "GET", "/flow_run_states/", params={"flow_run_id": str(flow_run_id)})

    async def resume_flow_run(
        self, flow_run_id: UUID | str, run_input: Mapping[str, Any] | None = None
    ) -> models.OrchestrationResult:
        """Let a paused or suspended run go on, with the input it waits for."""
        body = {"run_input": plain(run_input)}
        return await self._one(models.OrchestrationResult, "POST", f"/flow_runs/{path_part(flow_run_id)}/resume", body)

    async def read_flow_run_graph(self, flow_run_id: UUID | str) -> dict[str, Any]:
        """Its task runs and subflows as a graph."""
        found: dict[str, Any] = await self._value("GET", f"/flow_runs/{path_part(flow_run_id)}/graph-v2")
        return found

    async def get_scheduled_flow_runs_for_deployments(
        self, deployment_ids: Iterable[Any], scheduled_before: Any = None, limit: int | None = None
    ) -> list[models.FlowRunResponse]:
        """Runs of deployments that are due before a time, the earliest first."""
        body = body_of(
            deployment_ids=[id_of(each) for each in deployment_ids], scheduled_before=scheduled_before, limit=limit
        )
        return await self._many(models.FlowRunResponse, "POST", "/deployments/get_scheduled_flow_runs", body)
