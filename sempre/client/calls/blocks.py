"""Block types, schemas and documents."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from sempre.client import models
from sempre.client.bodies import Given, body_of, filters, path_part, plain
from sempre.client.calls.base import Calls
from sempre.client.errors import ObjectAlreadyExists

__all__ = ["BlockCalls"]


class BlockCalls(Calls):
    async def create_block_type(self, block_type: Given) -> models.BlockType:
        """ObjectAlreadyExists if there is one of this slug."""
        body = plain(block_type)
        try:
            return await self._one(models.BlockType, "POST", "/block_types/", body)
        except ObjectAlreadyExists as error:
            if not error.repeated:
                raise
            return await self.read_block_type_by_slug(body["slug"])

    async def read_block_type(self, block_type_id: UUID | str) -> models.BlockType:
        return await self._one(models.BlockType, "GET", f"/block_types/{path_part(block_type_id)}")

    async def read_block_type_by_slug(self, slug: str) -> models.BlockType:
        return await self._one(models.BlockType, "GET", f"/block_types/slug/{path_part(slug)}")

    async def read_block_types(
        self, block_type_filter: Given | None = None, limit: int | None = None, offset: int = 0
    ) -> list[models.BlockType]:
        body = body_of(filters(block_types=block_type_filter), limit=limit, offset=offset)
        return await self._many(models.BlockType, "POST", "/block_types/filter", body)

    async def update_block_type(self, block_type_id: UUID | str, block_type: Given) -> None:
        """NotAllowed for types of the server's own."""
        await self._request("PATCH", f"/block_types/{path_part(block_type_id)}", plain(block_type))

    async def delete_block_type(self, block_type_id: UUID | str) -> None:
        """NotAllowed for types of the server's own."""
        await self._delete(f"/block_types/{path_part(block_type_id)}")

    async def create_block_schema(self, block_schema: Given) -> models.BlockSchema:
        """Get or create the schema with these fields."""
        return await self._one(models.BlockSchema, "POST", "/block_schemas/", plain(block_schema))

    async def read_block_schema_by_checksum(self, checksum: str, version: str | None = None) -> models.BlockSchema:
        params = {"version": version} if version else None
        return await self._one(
            models.BlockSchema, "GET", f"/block_schemas/checksum/{path_part(checksum)}", params=params
        )

    async def read_block_schemas(
        self, block_schema_filter: Given | None = None, limit: int | None = None, offset: int = 0
    ) -> list[models.BlockSchema]:
        body = body_of(filters(block_schemas=block_schema_filter), limit=limit, offset=offset)
        return await self._many(models.BlockSchema, "POST", "/block_schemas/filter", body)

    async def get_most_recent_block_schema_for_block_type(self, block_type_id: UUID | str) -> models.BlockSchema | None:
        found = await self.read_block_schemas({"block_type_id": {"any_": [str(block_type_id)]}}, limit=1)
        return found[0] if found else None

    async def read_block_capabilities(self) -> list[str]:
        return list(await self._value("GET", "/block_capabilities/"))

    async def create_block_document(self, block_document: Given) -> models.BlockDocument:
        """ObjectAlreadyExists if the type has one of this name."""
        return await self._one(models.BlockDocument, "POST", "/block_documents/", plain(block_document))

    async def update_block_document(self, block_document_id: UUID | str, block_document: Given) -> None:
        """Change what is given; the data is merged unless `merge_existing_data` says no."""
        await self._request("PATCH", f"/block_documents/{path_part(block_document_id)}", plain(block_document))

    async def read_block_document(
        self, block_document_id: UUID | str, include_secrets: bool = True
    ) -> models.BlockDocument:
        return await self._one(
            models.BlockDocument, "GET", f"/block_documents/{path_part(block_document_id)}",
            params={"include_secrets": include_secrets},
        )  # fmt: skip

    async def read_block_document_by_name(
        self, name: str, block_type_slug: str, include_secrets: bool = True
    ) -> models.BlockDocument:
        path = f"/block_types/slug/{path_part(block_type_slug)}/block_documents/name/{path_part(name)}"
        return await self._one(models.BlockDocument, "GET", path, params={"include_secrets": include_secrets})

    async def read_block_documents(
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
        return await self._many(models.BlockDocument, "POST", "/block_documents/filter", body)

    async def read_block_documents_by_type(
        self, block_type_slug: str, include_secrets: bool = True
    ) -> list[models.BlockDocument]:
        path = f"/block_types/slug/{path_part(block_type_slug)}/block_documents"
        return await self._many(models.BlockDocument, "GET", path, params={"include_secrets": include_secrets})

    async def delete_block_document(self, block_document_id: UUID | str) -> None:
        await self._delete(f"/block_documents/{path_part(block_document_id)}")

    async def count_block_documents(self, slugs: Iterable[str] = ()) -> int:
        """How many named documents there are, of all types or of some."""
        body = {"block_types": {"slug": {"any_": list(slugs)}}} if slugs else {}
        return int(await self._value("POST", "/block_documents/count", body))
