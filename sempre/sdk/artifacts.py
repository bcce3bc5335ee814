"""Artifacts: tables, texts, links, pictures and progress that runs leave for people."""

from __future__ import annotations

import json
import math
from typing import Any
from uuid import UUID

from sempre.client import get_client
from sempre.sdk.context import FlowRunContext, TaskRunContext
from sempre.sdk.dual import dual
from sempre.sdk.events import emit_event

__all__ = [
    "Artifact",
    "acreate_image_artifact",
    "acreate_link_artifact",
    "acreate_markdown_artifact",
    "acreate_progress_artifact",
    "acreate_table_artifact",
    "aupdate_progress_artifact",
    "create_image_artifact",
    "create_link_artifact",
    "create_markdown_artifact",
    "create_progress_artifact",
    "create_table_artifact",
    "update_progress_artifact",
]

Table = dict[str, list[Any]] | list[dict[str, Any]] | list[list[Any]]


class Artifact:
    """What is known of an artifact: ``type``, ``key``, ``description``, ``data`` and its ``id``."""

    def __init__(self, type: str, data: Any, key: str | None, description: str | None, id: UUID | None = None) -> None:
        self.type = type
        self.data = data
        self.key = key
        self.description = description
        self.id = id

    async def acreate(self) -> UUID:
        """Write it, as one of the run around the caller; returns its id. With a ``key`` it is that key's newest."""
        flow, task = FlowRunContext.get(), TaskRunContext.get()
        body = {
            "type": self.type,
            "key": self.key,
            "description": self.description,
            "data": self.data,
            "flow_run_id": None if flow is None else str(flow.flow_run.id),
            "task_run_id": None if task is None else str(task.task_run.id),
        }
        made = await get_client().create_artifact({name: value for name, value in body.items() if value is not None})
        self.id = made.id
        emit_event(
            "prefect.artifact.created",
            {"prefect.resource.id": f"prefect.artifact.{made.id}", **_named(self.key)},
            payload={"key": self.key, "type": self.type, "description": self.description},
        )
        return made.id

    @staticmethod
    async def aget(key: str) -> Artifact | None:
        """The newest artifact of a key."""
        found = await get_client().read_latest_artifact(key)
        if found is None:
            return None
        return Artifact(found.type or "", found.data, found.key, found.description, found.id)

    create = dual(acreate)
    get = staticmethod(dual(aget))


async def acreate_link_artifact(
    link: str, link_text: str | None = None, key: str | None = None, description: str | None = None
) -> UUID:
    """Leave a link; returns the artifact's id."""
    text = f"[{link_text}]({link})" if link_text else f"[{link}]({link})"
    return await Artifact("markdown", text, key, description).acreate()


async def acreate_markdown_artifact(markdown: str, key: str | None = None, description: str | None = None) -> UUID:
    """Leave a text in markdown; returns the artifact's id."""
    return await Artifact("markdown", markdown, key, description).acreate()


async def acreate_table_artifact(table: Table, key: str | None = None, description: str | None = None) -> UUID:
    """Leave a table: columns of values, or rows as dicts or lists; returns the artifact's id."""
    return await Artifact("table", json.dumps(_without_nan(table), default=str), key, description).acreate()


async def acreate_image_artifact(image_url: str, key: str | None = None, description: str | None = None) -> UUID:
    """Show a picture that others can load from ``image_url``; returns the artifact's id."""
    return await Artifact("image", image_url, key, description).acreate()


async def acreate_progress_artifact(progress: float, key: str | None = None, description: str | None = None) -> UUID:
    """Show progress in percent, 0 to 100; returns the artifact's id, for `update_progress_artifact`."""
    return await Artifact("progress", _percent(progress), key, description).acreate()


async def aupdate_progress_artifact(artifact_id: UUID, progress: float, description: str | None = None) -> UUID:
    """Move progress on, in percent, 0 to 100."""
    changes: dict[str, Any] = {"data": _percent(progress)}
    if description is not None:
        changes["description"] = description
    await get_client().update_artifact(artifact_id, changes)
    emit_event("prefect.artifact.updated", {"prefect.resource.id": f"prefect.artifact.{artifact_id}"}, payload=changes)
    return artifact_id


create_link_artifact = dual(acreate_link_artifact)
create_markdown_artifact = dual(acreate_markdown_artifact)
create_table_artifact = dual(acreate_table_artifact)
create_image_artifact = dual(acreate_image_artifact)
create_progress_artifact = dual(acreate_progress_artifact)
update_progress_artifact = dual(aupdate_progress_artifact)


def _named(key: str | None) -> dict[str, str]:
    return {} if key is None else {"prefect.resource.name": key}


def _percent(progress: float) -> float:
    if not 0 <= progress <= 100:
        raise ValueError(f"progress is in percent, 0 to 100, not {progress}")
    return float(progress)


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: an empty cell is what it means."""
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    return [_without_nan(each) for each in value] if isinstance(value, list) else value
