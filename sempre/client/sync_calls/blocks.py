# Made from sempre/client/calls/blocks.py by scripts/sync_client.py: change that file.
"""Block types, schemas and documents."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from sempre.client import models
from sempre.client.bodies import Given, body_of, filters, path_part, plain
from sempre.client.errors import ObjectAlreadyExists
from sempre.client.sync_calls.base import SyncCalls

__all__ = ["SyncBlockCalls"]


class SyncBlockCalls(SyncCalls):
    def create_block_type(self, block_type: Given) -> models.BlockType:
        """ObjectAlreadyExists if there is one of this slug."""
        body = plain(block_type)
        try:
            return self._one(models.BlockType, "POST", "/block_types/", body)
        except ObjectAlreadyExists as error:
            if not error.repeated:
                raise
            return self.read_block_type_by_slug(body["slug"])

    def read_block_type(self, block_type_id: UUID | str) -> models.BlockType:
        return self._one(models.BlockType, "GET", f"/block_types/{path_part(block_type_id)}")

    def read_block_type_by_slug(self, slug: str) -> models.BlockType:
        return self._one(models.BlockType, "GET", f"/block_types/slug/{path_part(slug)}")

    def read_block_types(
        self, block_type_filter: Given | None = None, limit: int | None = None, offset: int = 0
    ) -> list[models.BlockType]:
        body = body_of(filters(block_types=block_type_filter), limit=limit, offset=offset)
        return self._many(models.BlockType, "POST", "/block_types/filter", body)

    def update_block_type(self, block_type_id: UUID | str, block_type: Given) -> None:
        """NotAllowed for types of the server's own."""
        self._request("PATCH", f"/block_types/{path_part(block_type_id)}", plain(block_type))

    def delete_block_type(self, block_type_id: UUID | str) -> None:
        """NotAllowed for types of the server's own."""
        self._delete(f"/block_types/{path_part(block_type_id)}")

    def create_block_schema(self, block_schema: Given) -> models.BlockSchema:
        """Get or create the schema with these fields."""
        return self._one(models.BlockSchema, "POST", "/block_schemas/", plain(block_schema))

    def read_block_schema_by_checksum(self, checksum: str, version: str | None = None) -> models.BlockSchema:
        params = {"version": version} if version else None
        return self._one(models.BlockSchema, "GET", f"/block_schemas/checksum/{path_part(checksum)}", params=params)

    def read_block_schemas(
        self, block_schema_filter: Given | None = None, limit: int | None = None, offset: int = 0
    ) -> list[models.BlockSchema]:
        body = body_of(filters(block_schemas=block_schema_filter), limit=limit, offset=offset)
        return self._many(models.BlockSchema, "POST", "/block_schemas/filter", body)

    def get_most_recent_block_schema_for_block_type(self, block_type_id: UUID | str) -> models.BlockSchema | None:
        found = self.read_block_schemas({"block_type_id": {"any_": [str(block_type_id)]}}, limit=1)
        return found[0] if found else None

    def read_block_capabilities(self) -> list[str]:
        return list(self._value("GET", "/block_capabilities/"))

    def create_block_document(self, block_document: Given) -> models.BlockDocument:
        """ObjectAlreadyExists if the type has one of this name."""
        return self._one(models.BlockDocument, "POST", "/block_documents/", plain(block_document))

    def update_block_document(self, block_document_id: UUID | str, block_document: Given) -> None:
        """Change what is given; the data is merged unless `merge_existing_data` says no."""
        self._request("PATCH", f"/block_documents/{path_part(block_document_id)}", plain(block_document))

    def read_block_document(self, block_document_id: UUID | str, include_secrets: bool = True) -> models.BlockDocument:
        return self._one(
            models.BlockDocument, "GET", f"/block_documents/{path_part(block_document_id)}",
            params={"include_secrets": include_secrets},
        )  # fmt: skip

    def read_block_document_by_name(
        self, name: str, block_type_slug: str, include_secrets: bool = True
    ) -> models.BlockDocument:
        path = f"/block_types/slug/{path_part(block_type_slug)}/block_documents/name/{path_part(name)}"
        return self._one(models.BlockDocument, "GET", path, params={"include_secrets": include_secrets})

    def read_block_documents(
        self,
        limit: int | None = None,
        offset: int = 0,
        include_secrets: bool = True,
        block_document_filter: Given | None = None,
        block_type_filter: Given | None = None,
        block_schema_filter: Given | None = None,
    ) -> list[models.BlockDocument]:
        """Documents that have a name, unless the filter says otherwise."""
        body = filters(
            block_documents=block_document_filter, block_types=block_type_filter, block_schemas=block_schema_filter
        )
        body = body_of(body, limit=limit, offset=offset, include_secrets=include_secrets)
        return self._many(models.BlockDocument, "POST", "/block_documents/filter", body)

    def read_block_documents_by_type(
        self, block_type_slug: str, include_secrets: bool = True
    ) -> list[models.BlockDocument]:
        path = f"/block_types/slug/{path_part(block_type_slug)}/block_documents"
        return self._many(models.BlockDocument, "GET", path, params={"include_secrets": include_secrets})

    def delete_block_document(self, block_document_id: UUID | str) -> None:
        self._delete(f"/block_documents/{path_part(block_document_id)}")

    def count_block_documents(self, slugs: Iterable[str] = ()) -> int:
        """How many named documents there are, of all types or of some."""
        body = {"block_types": {"slug": {"any_": list(slugs)}}} if slugs else {}
        return int(self._value("POST", "/block_documents/count", body))
