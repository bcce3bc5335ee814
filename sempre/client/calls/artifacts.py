"""Artifacts."""

from __future__ import annotations

from uuid import UUID

from sempre.client import models
from sempre.client.bodies import Given, body_of, filters, parsed, path_part, plain
from sempre.client.calls.base import Calls
from sempre.client.errors import ObjectNotFound

__all__ = ["ArtifactCalls"]


class ArtifactCalls(Calls):
    async def create_artifact(self, artifact: Given) -> models.Artifact:
        """Create an artifact from an `ArtifactCreate`; with a key it becomes the newest of that key."""
        return parsed(models.Artifact, await self._created("/artifacts/", plain(artifact)))

    async def update_artifact(self, artifact_id: UUID | str, artifact: Given) -> None:
        """Change what is given."""
        await self._request("PATCH", f"/artifacts/{path_part(artifact_id)}", plain(artifact))

    async def read_artifact(self, artifact_id: UUID | str) -> models.Artifact:
        return await self._one(models.Artifact, "GET", f"/artifacts/{path_part(artifact_id)}")

    async def read_latest_artifact(self, key: str) -> models.Artifact | None:
        """The newest artifact of a key; None if there is none."""
        try:
            return await self._one(models.Artifact, "GET", f"/artifacts/{path_part(key)}/latest")
        except ObjectNotFound:
            return None

    async def read_artifacts(
        self,
        *,
        artifact_filter: Given | None = None,
        flow_run_filter: Given | None = None,
        task_run_filter: Given | None = None,
        sort: str | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[models.Artifact]:
        body = filters(artifacts=artifact_filter, flow_runs=flow_run_filter, task_runs=task_run_filter)
        return await self._many(
            models.Artifact, "POST", "/artifacts/filter", body_of(body, sort=sort, limit=limit, offset=offset)
        )

    async def read_latest_artifacts(
        self,
        *,
        artifact_filter: Given | None = None,
        flow_run_filter: Given | None = None,
        task_run_filter: Given | None = None,
        sort: str | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[models.ArtifactCollection]:
        """The newest artifact of each key that matches."""
        body = filters(artifacts=artifact_filter, flow_runs=flow_run_filter, task_runs=task_run_filter)
        body = body_of(body, sort=sort, limit=limit, offset=offset)
        return await self._many(models.ArtifactCollection, "POST", "/artifacts/latest/filter", body)

    async def delete_artifact(self, artifact_id: UUID | str) -> None:
        await self._delete(f"/artifacts/{path_part(artifact_id)}")
