"""Filters on block types, schemas and documents."""

from collections.abc import Iterator
from uuid import UUID

from sqlalchemy import FromClause, and_, select

from sempre.db import tables
from sempre.schemas.filters.blocks import BlockDocumentFilter, BlockSchemaFilter, BlockTypeFilter
from sempre.schemas.filters.common import TagsAll
from sempre.server.filters.conditions import Condition, among, combined, is_so, like, member, tags

__all__ = ["on_documents", "on_schemas", "on_types"]


def on_types(
    workspace_id: UUID, block_types: BlockTypeFilter | None, block_schemas: BlockSchemaFilter | None = None
) -> Condition:
    """On rows of ``block_type``: the type itself, and that it has a schema that matches."""
    table = tables.block_type
    conditions = [table.c.workspace_id == workspace_id]
    if block_types is not None:
        conditions.append(_types(block_types, table))
    if block_schemas is not None:
        schema = tables.block_schema.alias()
        where = (schema.c.block_type_id == table.c.id, _schemas(block_schemas, schema))
        conditions.append(select(schema.c.id).where(*where).correlate(table).exists())
    return and_(*conditions)


def on_schemas(workspace_id: UUID, block_schemas: BlockSchemaFilter | None) -> Condition:
    """On rows of ``block_schema``."""
    table = tables.block_schema
    own = table.c.workspace_id == workspace_id
    return own if block_schemas is None else and_(own, _schemas(block_schemas, table))


def on_documents(
    workspace_id: UUID,
    block_documents: BlockDocumentFilter | None,
    block_types: BlockTypeFilter | None,
    block_schemas: BlockSchemaFilter | None,
) -> Condition:
    """On rows of ``block_document``: the document itself (no filter hides anonymous ones), its type and its schema."""
    table = tables.block_document
    conditions = [table.c.workspace_id == workspace_id, _documents(block_documents or BlockDocumentFilter(), table)]
    if block_types is not None:
        type = tables.block_type.alias()
        where = (type.c.id == table.c.block_type_id, _types(block_types, type))
        conditions.append(select(type.c.id).where(*where).correlate(table).exists())
    if block_schemas is not None:
        schema = tables.block_schema.alias()
        where = (schema.c.id == table.c.block_schema_id, _schemas(block_schemas, schema))
        conditions.append(select(schema.c.id).where(*where).correlate(table).exists())
    return and_(*conditions)


def _types(filter: BlockTypeFilter, table: FromClause) -> Condition:
    def conditions() -> Iterator[Condition]:
        if filter.name:
            yield member(like(table.c.name, filter.name.like_))
        if filter.slug:
            yield member(among(table.c.slug, filter.slug.any_))

    return combined(None, conditions())


def _schemas(filter: BlockSchemaFilter, table: FromClause) -> Condition:
    def conditions() -> Iterator[Condition]:
        for name in ("block_type_id", "id", "version"):
            if asked := getattr(filter, name):
                yield member(among(table.c[name], asked.any_))
        if filter.block_capabilities:
            yield tags(table.c.capabilities, TagsAll(all_=filter.block_capabilities.all_))

    return combined(filter.operator, conditions())


def _documents(filter: BlockDocumentFilter, table: FromClause) -> Condition:
    def conditions() -> Iterator[Condition]:
        for name in ("id", "block_type_id"):
            if asked := getattr(filter, name):
                yield member(among(table.c[name], asked.any_))
        if filter.name:
            yield member(among(table.c.name, filter.name.any_), like(table.c.name, filter.name.like_))
        if filter.is_anonymous:
            yield is_so(table.c.is_anonymous, filter.is_anonymous.eq_)

    return combined(filter.operator, conditions())
