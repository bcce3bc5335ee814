"""Artifacts and artifact collections (the newest artifact of each key)."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator

from sempre.schemas import limits
from sempre.schemas.base import ActionModel, JsonObject, Record, Slug

__all__ = ["Artifact", "ArtifactCollection", "ArtifactCreate", "ArtifactUpdate"]


def _cut_metadata(value: dict[str, str]) -> dict[str, str]:
    bound = limits.current().metadata_value
    return {key: text if len(text) <= bound else text[:bound] + "..." for key, text in value.items()}


Metadata = Annotated[dict[str, str], AfterValidator(_cut_metadata)]
"""Text by name; values longer than the bound are cut and end in ``...``."""


class ArtifactCreate(ActionModel):
    # Made by the client: creating it again answers with what is there.
    id: UUID | None = None
    key: Slug | None = None
    type: str | None = None
    description: str | None = None
    data: JsonObject | Any | None = None
    metadata_: Metadata | None = None
    flow_run_id: UUID | None = None
    task_run_id: UUID | None = None


class ArtifactUpdate(ActionModel):
    data: JsonObject | Any | None = None
    description: str | None = None
    metadata_: Metadata | None = None


class Artifact(Record):
    key: str | None = None
    type: str | None = None
    description: str | None = None
    data: JsonObject | Any | None = None
    metadata_: dict[str, str] | None = None
    flow_run_id: UUID | None = None
    task_run_id: UUID | None = None


class ArtifactCollection(Record):
    key: str
    latest_id: UUID
    type: str | None = None
    description: str | None = None
    data: JsonObject | Any | None = None
    metadata_: dict[str, str] | None = None
    flow_run_id: UUID | None = None
    task_run_id: UUID | None = None
