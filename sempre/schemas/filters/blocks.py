"""Filters on block types, schemas and documents."""

from uuid import UUID

from pydantic import Field

from sempre.schemas.base import FilterModel
from sempre.schemas.filters.common import AllOf, AnyOf, Combined, Like, NameMatch

__all__ = [
    "BlockDocumentFilter",
    "BlockDocumentFilterBlockTypeId",
    "BlockDocumentFilterId",
    "BlockDocumentFilterIsAnonymous",
    "BlockDocumentFilterName",
    "BlockSchemaFilter",
    "BlockSchemaFilterBlockTypeId",
    "BlockSchemaFilterCapabilities",
    "BlockSchemaFilterId",
    "BlockSchemaFilterVersion",
    "BlockTypeFilter",
    "BlockTypeFilterName",
    "BlockTypeFilterSlug",
]


class BlockTypeFilterName(Like):
    pass


class BlockTypeFilterSlug(AnyOf[str]):
    pass


class BlockTypeFilter(FilterModel):
    name: BlockTypeFilterName | None = None
    slug: BlockTypeFilterSlug | None = None


class BlockSchemaFilterBlockTypeId(AnyOf[UUID]):
    pass


class BlockSchemaFilterId(AnyOf[UUID]):
    pass


class BlockSchemaFilterCapabilities(AllOf[str]):
    pass


class BlockSchemaFilterVersion(AnyOf[str]):
    pass


class BlockSchemaFilter(Combined):
    block_type_id: BlockSchemaFilterBlockTypeId | None = None
    block_capabilities: BlockSchemaFilterCapabilities | None = None
    id: BlockSchemaFilterId | None = None
    version: BlockSchemaFilterVersion | None = None


class BlockDocumentFilterId(AnyOf[UUID]):
    pass


class BlockDocumentFilterIsAnonymous(FilterModel):
    eq_: bool | None = None


class BlockDocumentFilterBlockTypeId(AnyOf[UUID]):
    pass


class BlockDocumentFilterName(NameMatch):
    pass


class BlockDocumentFilter(Combined):
    """Hides anonymous documents unless ``is_anonymous`` is given (null = both kinds)."""

    id: BlockDocumentFilterId | None = None
    is_anonymous: BlockDocumentFilterIsAnonymous | None = Field(default=BlockDocumentFilterIsAnonymous(eq_=False))
    block_type_id: BlockDocumentFilterBlockTypeId | None = None
    name: BlockDocumentFilterName | None = None
