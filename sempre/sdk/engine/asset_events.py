"""What the server is told of assets: which ones a task run used, and which it made or failed to make."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sempre.sdk.engine.task_events import iso
from sempre.sdk.ids import new_id
from sempre.sdk.runs import TaskRun
from sempre.sdk.states import State

if TYPE_CHECKING:
    from sempre.sdk.assets import Asset
    from sempre.sdk.context import FlowRunContext
    from sempre.sdk.tasks import Task

__all__ = ["asset_events", "upstream_assets"]

_Event = dict[str, Any]


def upstream_assets(task: Task[Any, Any], run: TaskRun, flow: FlowRunContext | None) -> tuple[Asset, ...]:
    """The assets that a run uses: those that its task names, and those that the runs before it made or passed on.

    Notes what this run makes or passes on, for those that follow.
    """
    if not (task.asset_deps or task.assets or (flow is not None and flow.assets)):
        return ()
    found = {asset.key: asset for asset in task.asset_deps}
    if flow is not None and flow.assets:
        for name, inputs in run.task_inputs.items():
            for each in inputs if name != "__parents__" else ():
                if each["input_type"] == "task_run":
                    found |= {asset.key: asset for asset in flow.assets.get(UUID(each["id"]), ())}
    used = tuple(found.values())
    if flow is not None and (task.assets or used):
        flow.assets[run.id] = task.assets or used
    return used


def asset_events(
    run: TaskRun,
    task: Task[Any, Any],
    used: Iterable[Asset],
    metadata: dict[str, dict[str, Any]],
    state: State[Any],
    related: list[dict[str, str]],
) -> list[_Event]:
    """The events of a run that has ended; none if it made nothing, also because its value was known already."""
    if state.name == "Cached" or not (state.is_completed() or state.is_failed()):
        return []
    who = {
        "prefect.resource.id": f"prefect.task-run.{run.id}",
        "prefect.resource.name": run.name,
        "prefect.resource.role": "task-run",
    }
    around = [who, *related]
    made_by = [] if task.materialized_by is None else [_role(task.materialized_by, "asset-materialized-by")]
    sources = [_role(asset.key, "asset") for asset in used]
    kind = "succeeded" if state.is_completed() else "failed"
    at = iso(state.timestamp)
    events = [_event(at, "prefect.asset.referenced", asset, around, {}) for asset in used]
    for asset in task.assets:
        event = f"prefect.asset.materialization.{kind}"
        events.append(_event(at, event, asset, [*made_by, *sources, *around], metadata.get(asset.key, {})))
    return events


def _event(at: str, event: str, asset: Asset, related: list[dict[str, str]], payload: dict[str, Any]) -> _Event:
    return {
        "occurred": at,
        "event": event,
        "resource": _labels(asset),
        "related": related,
        "payload": payload,
        "id": str(new_id()),
        "follows": None,
    }


def _labels(asset: Asset) -> dict[str, str]:
    labels = {"prefect.resource.id": asset.key}
    about = asset.properties
    if about is None:
        return labels
    if about.name:
        labels["prefect.resource.name"] = about.name
    if about.url:
        labels["prefect.asset.url"] = about.url
    if about.description:
        labels["prefect.asset.description"] = about.description
    if about.owners:
        labels["prefect.asset.owners"] = json.dumps(list(about.owners))
    return labels


def _role(id: str, role: str) -> dict[str, str]:
    return {"prefect.resource.id": id, "prefect.resource.role": role}
