# Made from sempre/client/calls/flows.py by scripts/sync_client.py: change that file.
"""Flows."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sempre.client import models
from sempre.client.bodies import Given, body_of, filters, path_part
from sempre.client.sync_calls.base import SyncCalls

__all__ = ["SyncFlowCalls"]


class SyncFlowCalls(SyncCalls):
    def create_flow(self, flow: Any) -> UUID:
        """Get or create a flow by its name; `flow` is anything with a `name`. Returns its id."""
        return self.create_flow_from_name(
            flow.name, tags=getattr(flow, "tags", None), labels=getattr(flow, "labels", None)
        )

    def create_flow_from_name(
        self, flow_name: str, tags: list[str] | None = None, labels: dict[str, Any] | None = None
    ) -> UUID:
        """Get or create a flow. Returns its id."""
        body = body_of(name=flow_name, tags=sorted(tags) if tags else None, labels=labels)
        return (self._one(models.Flow, "POST", "/flows/", body)).id

    def read_flow(self, flow_id: UUID | str) -> models.Flow:
        return self._one(models.Flow, "GET", f"/flows/{path_part(flow_id)}")

    def read_flow_by_name(self, flow_name: str) -> models.Flow:
        return self._one(models.Flow, "GET", f"/flows/name/{path_part(flow_name)}")

    def read_flows(
        self,
        *,
        flow_filter: Given | None = None,
        flow_run_filter: Given | None = None,
        task_run_filter: Given | None = None,
        deployment_filter: Given | None = None,
        work_pool_filter: Given | None = None,
        sort: str | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[models.Flow]:
        """The flows that match. Without a limit as many as the server gives at once."""
        body = filters(
            flows=flow_filter, flow_runs=flow_run_filter, task_runs=task_run_filter, deployments=deployment_filter,
            work_pools=work_pool_filter,
        )  # fmt: skip
        return self._many(models.Flow, "POST", "/flows/filter", body_of(body, sort=sort, limit=limit, offset=offset))

    def paginate_flows(
        self,
        *,
        flow_filter: Given | None = None,
        flow_run_filter: Given | None = None,
        task_run_filter: Given | None = None,
        deployment_filter: Given | None = None,
        work_pool_filter: Given | None = None,
        sort: str | None = None,
        limit: int | None = None,
        page: int = 1,
    ) -> models.FlowPaginationResponse:
        """One page of the flows that match, and how many pages there are."""
        body = filters(
            flows=flow_filter, flow_runs=flow_run_filter, task_runs=task_run_filter, deployments=deployment_filter,
            work_pools=work_pool_filter,
        )  # fmt: skip
        body = body_of(body, sort=sort, limit=limit, page=page)
        return self._one(models.FlowPaginationResponse, "POST", "/flows/paginate", body)

    def count_flows(self, *, flow_filter: Given | None = None, flow_run_filter: Given | None = None) -> int:
        body = filters(flows=flow_filter, flow_runs=flow_run_filter)
        return int(self._value("POST", "/flows/count", body))

    def delete_flow(self, flow_id: UUID | str) -> None:
        self._delete(f"/flows/{path_part(flow_id)}")
