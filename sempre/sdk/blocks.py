"""Blocks: configuration with a type, kept by the server under a name, secrets encrypted."""

from __future__ import annotations

import typing
from typing import Any, ClassVar, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, PrivateAttr, SecretBytes, SecretStr

from sempre.client import NotAllowed, ObjectAlreadyExists, ObjectNotFound, get_client
from sempre.sdk.dual import dual
from sempre.sdk.events import emit_event

__all__ = ["Block", "Secret"]

_SECRETS = (SecretStr, SecretBytes)


class Block(BaseModel):
    """Base class of block types: a subclass's fields are what a block of the type holds.

    SecretStr and SecretBytes fields are kept encrypted. A field may hold another block, which has to be saved before.
    The methods that talk to the server also exist with an `a` in front, to be awaited anywhere.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="ignore")

    _block_type_name: ClassVar[str | None] = None
    _block_type_slug: ClassVar[str | None] = None
    _description: ClassVar[str | None] = None
    _documentation_url: ClassVar[str | None] = None
    _logo_url: ClassVar[str | None] = None

    _block_document_id: UUID | None = PrivateAttr(default=None)
    _block_document_name: str | None = PrivateAttr(default=None)

    @classmethod
    def get_block_type_name(cls) -> str:
        return cls._block_type_name or cls.__name__

    @classmethod
    def get_block_type_slug(cls) -> str:
        return cls._block_type_slug or cls.get_block_type_name().lower().replace(" ", "-").replace("_", "-")

    @classmethod
    async def aregister_type_and_schema(cls) -> tuple[UUID, UUID]:
        """Make the type and its fields known to the server; returns the ids of both."""
        type_id, schema_id, _ = await cls._register()
        return type_id, schema_id

    @classmethod
    async def aload(cls, name: str) -> Self:
        """The block of this type that was saved under a name. On `Block` itself, `type/name`, of any type that was
        imported. Raises ValueError if there is none."""
        slug = cls.get_block_type_slug()
        kind: Any = cls
        if cls is Block:
            slug, _, name = name.partition("/")
            kind = _known(Block).get(slug)
            if kind is None:
                raise ValueError(f"No class for the block type {slug!r} was imported.")
        try:
            document = await get_client().read_block_document_by_name(name, slug, include_secrets=True)
        except ObjectNotFound:
            raise ValueError(f"There is no block {slug}/{name}.") from None
        block: Self = kind.model_validate(document.data)
        block._block_document_id, block._block_document_name = document.id, name
        emit_event(
            f"prefect.block.{slug}.loaded",
            {
                "prefect.resource.id": f"prefect.block-document.{document.id}",
                "prefect.resource.name": name,
            },
            related=[{"prefect.resource.id": f"prefect.block-type.{slug}", "prefect.resource.role": "block-type"}],
        )
        return block

    async def asave(self, name: str, overwrite: bool = False) -> UUID:
        """Keep the block under a name; returns its document's id. Raises ValueError if the type has one of this name
        and it is not to be overwritten."""
        type_id, schema_id, _ = await self._register()
        client = get_client()
        data, slug = self._data(), self.get_block_type_slug()
        body = {"name": name, "data": data, "block_type_id": str(type_id), "block_schema_id": str(schema_id)}
        try:
            id = (await client.create_block_document(body)).id
        except ObjectAlreadyExists:
            if not overwrite:
                raise ValueError(f"There is a block {slug}/{name} already; say overwrite=True.") from None
            known = await client.read_block_document_by_name(name, slug, include_secrets=False)
            id = known.id
            await client.update_block_document(id, {"data": data, "block_schema_id": str(schema_id)})
        self._block_document_id, self._block_document_name = id, name
        return id

    @classmethod
    async def adelete(cls, name: str) -> None:
        """Raises ValueError if there is no block of this name."""
        client = get_client()
        try:
            document = await client.read_block_document_by_name(name, cls.get_block_type_slug(), include_secrets=False)
        except ObjectNotFound:
            raise ValueError(f"There is no block {cls.get_block_type_slug()}/{name}.") from None
        await client.delete_block_document(document.id)

    @classmethod
    def register_type_and_schema(cls) -> tuple[UUID, UUID]:
        """See :meth:`aregister_type_and_schema`."""
        return dual(cls.aregister_type_and_schema)()

    @classmethod
    def load(cls, name: str) -> Self:
        """See :meth:`aload`."""
        return dual(cls.aload)(name)

    @classmethod
    def delete(cls, name: str) -> None:
        """See :meth:`adelete`."""
        return dual(cls.adelete)(name)

    def save(self, name: str, overwrite: bool = False) -> UUID:
        """See :meth:`asave`."""
        return dual(self.asave)(name, overwrite)

    @classmethod
    async def _register(cls) -> tuple[UUID, UUID, str]:
        client = get_client()
        slug = cls.get_block_type_slug()
        about = {
            "name": cls.get_block_type_name(),
            "slug": slug,
            "description": cls._description or (cls.__doc__ or "").strip().split("\n")[0] or None,
            "documentation_url": cls._documentation_url,
            "logo_url": cls._logo_url,
        }
        try:
            type_id = (await client.read_block_type_by_slug(slug)).id
        except ObjectNotFound:
            type_id = (await client.create_block_type({k: v for k, v in about.items() if v is not None})).id
        fields = await cls._fields()
        try:
            schema = await client.create_block_schema({"fields": fields, "block_type_id": str(type_id)})
        except NotAllowed:  # a type of the server's own has one schema, which is the one to use
            found = await client.get_most_recent_block_schema_for_block_type(type_id)
            if found is None:
                raise
            schema = found
        return type_id, schema.id, schema.checksum

    @classmethod
    async def _fields(cls) -> dict[str, Any]:
        schema = cls.model_json_schema(ref_template="#/definitions/{model}")
        fields: dict[str, Any] = {
            "title": cls.__name__,
            "type": "object",
            "properties": schema.get("properties", {}),
            "required": schema.get("required", []),
            "block_type_slug": cls.get_block_type_slug(),
            "secret_fields": cls._secret_fields(),
            "block_schema_references": {},
        }
        if schema.get("$defs"):
            fields["definitions"] = schema["$defs"]
        for name, field in cls.model_fields.items():
            nested = _block_in(field.annotation)
            if nested is not None:
                *_, checksum = await nested._register()
                fields["block_schema_references"][name] = {
                    "block_type_slug": nested.get_block_type_slug(),
                    "block_schema_checksum": checksum,
                }
        return fields

    @classmethod
    def _secret_fields(cls) -> list[str]:
        names = []
        for name, field in cls.model_fields.items():
            parts = (field.annotation, *typing.get_args(field.annotation))
            if any(isinstance(part, type) and issubclass(part, _SECRETS) for part in parts):
                names.append(name)
        return names

    def _data(self) -> dict[str, Any]:
        data = self.model_dump(mode="json")
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, _SECRETS):
                secret = value.get_secret_value()
                data[name] = secret.decode() if isinstance(secret, bytes) else secret
            elif isinstance(value, Block):
                if value._block_document_id is None:
                    raise ValueError(f"The block in {name!r} has to be saved before the one that holds it.")
                data[name] = {"$ref": {"block_document_id": str(value._block_document_id)}}
        return data


class Secret(Block):
    """One secret value, shown to nobody who does not ask for it with :meth:`get`."""

    _block_type_name: ClassVar[str | None] = "Secret"
    _block_type_slug: ClassVar[str | None] = "secret"

    value: SecretStr

    def get(self) -> str:
        return self.value.get_secret_value()


def _block_in(hint: Any) -> type[Block] | None:
    for part in (hint, *typing.get_args(hint)):
        if isinstance(part, type) and issubclass(part, Block):
            return part
    return None


def _known(kind: type[Block]) -> dict[str, type[Block]]:
    found: dict[str, type[Block]] = {}
    for each in kind.__subclasses__():
        found[each.get_block_type_slug()] = each
        found.update(_known(each))
    return found
