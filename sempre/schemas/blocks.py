"""Block types, block schemas and block documents."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, Field, model_validator

from sempre.schemas.base import ActionModel, JsonObject, Name, Record, Slug, check_slug

__all__ = [
    "NON_VERSIONED",
    "BlockDocument",
    "BlockDocumentCreate",
    "BlockDocumentUpdate",
    "BlockSchema",
    "BlockSchemaCreate",
    "BlockType",
    "BlockTypeCreate",
    "BlockTypeUpdate",
]

NON_VERSIONED = "non-versioned"


DocumentName = Annotated[Name, AfterValidator(check_slug)]
"""A slug that is not empty."""


class BlockTypeCreate(ActionModel):
    name: Name
    slug: Slug
    logo_url: str | None = None
    documentation_url: str | None = None
    description: str | None = None
    code_example: str | None = None


class BlockTypeUpdate(ActionModel):
    logo_url: str | None = None
    documentation_url: str | None = None
    description: str | None = None
    code_example: str | None = None


class BlockType(Record):
    name: Name
    slug: str
    logo_url: str | None = None
    documentation_url: str | None = None
    description: str | None = None
    code_example: str | None = None
    is_protected: bool = False


class BlockSchemaCreate(ActionModel):
    """The fields of a block type at one version; the server computes their checksum."""

    fields: JsonObject = Field(default_factory=dict)
    block_type_id: UUID
    capabilities: list[str] = Field(default_factory=list)
    version: str = NON_VERSIONED


class BlockSchema(Record):
    checksum: str
    fields: JsonObject = Field(default_factory=dict)
    block_type_id: UUID | None
    block_type: BlockType | None = None
    capabilities: list[str] = Field(default_factory=list)
    version: str = NON_VERSIONED


class BlockDocumentCreate(ActionModel):
    name: DocumentName | None = None
    data: JsonObject = Field(default_factory=dict)
    block_schema_id: UUID
    block_type_id: UUID
    is_anonymous: bool = False

    @model_validator(mode="before")
    @classmethod
    def _named_unless_anonymous(cls, body: Any) -> Any:
        """Looks before the name's own rules, which would say less helpful things about an empty one."""
        if isinstance(body, dict) and not body.get("name") and not body.get("is_anonymous"):
            raise ValueError("Names must be provided for block documents.")
        return body


class BlockDocumentUpdate(ActionModel):
    block_schema_id: UUID | None = None
    data: JsonObject = Field(default_factory=dict)
    merge_existing_data: bool = True


class BlockDocument(Record):
    """A block with its data; secrets are masked unless they were asked for."""

    name: Name | None = None
    data: JsonObject = Field(default_factory=dict)
    block_schema_id: UUID
    block_schema: BlockSchema | None = None
    block_type_id: UUID
    block_type_name: str | None = None
    block_type: BlockType | None = None
    block_document_references: dict[str, dict[str, Any]] = Field(default_factory=dict)
    is_anonymous: bool = False
