# Made from sempre/client/calls/admin.py by scripts/sync_client.py: change that file.
"""The server itself: whether it is there, its version and its settings."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sempre.client import models
from sempre.client.errors import ClientError, ObjectNotFound
from sempre.client.sync_calls.base import SyncCalls

__all__ = ["SyncAdminCalls"]


class SyncAdminCalls(SyncCalls):
    def api_healthcheck(self) -> Exception | None:
        """None if the API is healthy, else why not."""
        try:
            self._request("GET", "/health")
        except ClientError as error:
            return error
        return None

    def api_version(self) -> str:
        """The version of the protocol that the server speaks for, such as 3.8.8."""
        return str(self._value("GET", "/admin/version"))

    def read_server_settings(self) -> dict[str, Any]:
        """The server's settings, secrets hidden."""
        found: dict[str, Any] = self._value("GET", "/admin/settings")
        return found

    def read_default_result_storage(self) -> models.ServerDefaultResultStorage:
        """The block that keeps results where a flow names none."""
        try:
            return self._one(models.ServerDefaultResultStorage, "GET", "/admin/storage")
        except ObjectNotFound:  # a server from before there was such a thing
            return models.ServerDefaultResultStorage()

    def update_default_result_storage(self, block_document_id: UUID | str) -> None:
        self._request("PUT", "/admin/storage", {"default_result_storage_block_id": str(block_document_id)})

    def clear_default_result_storage(self) -> None:
        self._request("DELETE", "/admin/storage")

    def read_worker_metadata(self) -> dict[str, Any]:
        """The types of workers that are known, with their base job templates."""
        found: dict[str, Any] = self._value("GET", "/collections/views/aggregate-worker-metadata")
        return found

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """Any call of the API: `path` as in the API's document, beginning with a slash, quoted already."""
        return self._value(method.upper(), path, body)
