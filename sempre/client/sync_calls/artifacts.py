# Made from sempre/client/calls/artifacts.py by scripts/sync_client.py: change that file.
"""Artifacts."""

from __future__ import annotations

from uuid import UUID

from sempre.client import models
from sempre.client.bodies import Given, body_of, filters, parsed, path_part, plain
from sempre.client.errors import ObjectNotFound
from sempre.client.sync_calls.base import SyncCalls

__all__ = ["SyncArtifactCalls"]


class SyncArtifactCalls(SyncCalls):
    def create_artifact(self, artifact: Given) -> models.Artifact:
        """Create an artifact from an `ArtifactCreate`; with a key it becomes the newest of that key."""
        return parsed(models.Artifact, self._created("/artifacts/", plain(artifact)))

    def update_artifact(self, artifact_id: UUID | str, artifact: Given) -> None:
        """Change what is given."""
        self._request("PATCH", f"/artifacts/{path_part(artifact_id)}", plain(artifact))

    def read_artifact(self, artifact_id: UUID | str) -> models.Artifact:
        return self._one(models.Artifact, "GET", f"/artifacts/{path_part(artifact_id)}")

    def read_latest_artifact(self, key: str) -> models.Artifact | None:
        """The newest artifact of a key; None if there is none."""
        try:
            return self._one(models.Artifact, "GET", f"/artifacts/{path_part(key)}/latest")
        except ObjectNotFound:
            return None

    def read_artifacts(
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
        return self._many(
            models.Artifact, "POST", "/artifacts/filter", body_of(body, sort=sort, limit=limit, offset=offset)
        )

    def read_latest_artifacts(
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
        return self._many(models.ArtifactCollection, "POST", "/artifacts/latest/filter", body)

    def delete_artifact(self, artifact_id: UUID | str) -> None:
        self._delete(f"/artifacts/{path_part(artifact_id)}")
