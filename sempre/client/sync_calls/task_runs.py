# Made from sempre/client/calls/task_runs.py by scripts/sync_client.py: change that file.
"""Task runs. Runs of tasks inside flows are told by events; these calls are for tracking runs and background tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from sempre.client import models
from sempre.client.bodies import Given, body_of, filters, path_part, sent_state, state_body
from sempre.client.sync_calls.base import SyncCalls, new_key

__all__ = ["SyncTaskRunCalls"]


class SyncTaskRunCalls(SyncCalls):
    def create_task_run(
        self,
        task_key: str,
        flow_run_id: UUID | None,
        dynamic_key: str,
        id: UUID | None = None,
        name: str | None = None,
        state: Given | None = None,
        extra_tags: Iterable[str] | None = None,
        task_inputs: Mapping[str, Any] | None = None,
        *,
        cache_key: str | None = None,
        task_version: str | None = None,
        empirical_policy: Given | None = None,
        labels: Mapping[str, Any] | None = None,
    ) -> models.TaskRun:
        """Get or create the task run with this identity: flow run, task key and dynamic key."""
        body = body_of(
            id=id or new_key(), name=name, flow_run_id=flow_run_id, task_key=task_key, dynamic_key=dynamic_key,
            state=None if state is None else state_body(state), tags=sorted(extra_tags or ()),
            task_inputs=task_inputs, cache_key=cache_key, task_version=task_version,
            empirical_policy=empirical_policy, labels=labels,
        )  # fmt: skip
        return self._one(models.TaskRun, "POST", "/task_runs/", body)

    def read_task_run(self, task_run_id: UUID | str) -> models.TaskRun:
        return self._one(models.TaskRun, "GET", f"/task_runs/{path_part(task_run_id)}")

    def read_task_runs(
        self,
        *,
        flow_filter: Given | None = None,
        flow_run_filter: Given | None = None,
        task_run_filter: Given | None = None,
        deployment_filter: Given | None = None,
        sort: str | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[models.TaskRun]:
        """The runs that match. Without a limit as many as the server gives at once."""
        body = filters(
            flows=flow_filter, flow_runs=flow_run_filter, task_runs=task_run_filter, deployments=deployment_filter
        )
        body = body_of(body, sort=sort, limit=limit, offset=offset)
        return self._many(models.TaskRun, "POST", "/task_runs/filter", body)

    def paginate_task_runs(
        self,
        *,
        flow_run_filter: Given | None = None,
        task_run_filter: Given | None = None,
        sort: str | None = None,
        limit: int | None = None,
        page: int = 1,
    ) -> models.TaskRunPaginationResponse:
        """One page of the runs that match, and how many pages there are."""
        body = body_of(filters(flow_runs=flow_run_filter, task_runs=task_run_filter), sort=sort, limit=limit, page=page)
        return self._one(models.TaskRunPaginationResponse, "POST", "/task_runs/paginate", body)

    def count_task_runs(self, *, flow_run_filter: Given | None = None, task_run_filter: Given | None = None) -> int:
        body = filters(flow_runs=flow_run_filter, task_runs=task_run_filter)
        return int(self._value("POST", "/task_runs/count", body))

    def set_task_run_name(self, task_run_id: UUID | str, name: str) -> None:
        self._request("PATCH", f"/task_runs/{path_part(task_run_id)}", {"name": name})

    def delete_task_run(self, task_run_id: UUID | str) -> None:
        self._delete(f"/task_runs/{path_part(task_run_id)}")

    def set_task_run_state(
        self, task_run_id: UUID | str, state: Given, force: bool = False
    ) -> models.OrchestrationResult:
        """Propose a state, as `set_flow_run_state` does."""
        body = {"state": sent_state(state, new_key()), "force": force}
        return self._one(models.OrchestrationResult, "POST", f"/task_runs/{path_part(task_run_id)}/set_state", body)

    def read_task_run_states(self, task_run_id: UUID | str) -> list[models.State]:
        """Its history, the oldest state first."""
        return self._many(models.State, "GET", "/task_run_states/", params={"task_run_id": str(task_run_id)})
