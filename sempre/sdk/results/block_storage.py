"""Storages of results that the server's blocks configure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sempre.sdk.errors import ConfigurationError
from sempre.sdk.results.storages import Storage
from sempre.settings import get_current_settings

if TYPE_CHECKING:
    from sempre.sdk.filesystems import FileSystem

__all__ = ["BlockStorage", "is_block_reference", "storage_of_block"]

_REFERENCE = re.compile(r"[a-z0-9][a-z0-9-]*/[^/\\]+")


class BlockStorage:
    """The place that a saved block names. Its settings may be secrets: results are told of its id alone."""

    def __init__(self, block: FileSystem) -> None:
        if block._block_document_id is None:
            raise ConfigurationError(
                f"This {type(block).__name__} has no name yet by which others could find results: save() it first."
            )
        self.block_id = str(block._block_document_id)
        inner = block.storage()
        self.read, self.write, self.exists, self.delete = inner.read, inner.write, inner.exists, inner.delete

    def to_json(self) -> dict[str, Any] | None:
        return None

    def __getstate__(self) -> str:
        return self.block_id

    def __setstate__(self, block_id: str) -> None:
        """In another process, which asks the server for itself."""
        self.__dict__.update(storage_of_block(UUID(block_id)).__dict__)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BlockStorage) and other.block_id == self.block_id

    def __hash__(self) -> int:
        return hash(self.block_id)

    def __repr__(self) -> str:
        return f"BlockStorage({self.block_id!r})"


def is_block_reference(text: str) -> bool:
    """Whether this is `block-type/name`. A relative directory of that form is written `./type/name`."""
    return _REFERENCE.fullmatch(text) is not None


# Asked for once per process: a flow of ten thousand tasks reads one block.
_known: dict[tuple[str | None, str], Storage] = {}


def storage_of_block(which: UUID | str) -> Storage:
    """The storage of a saved block, by its id or as `block-type/name`.

    Raises ConfigurationError if there is none, or if it names no place of files.
    """
    key = (get_current_settings().api.url, str(which))
    found = _known.get(key)
    if found is None:
        found = _known[key] = BlockStorage(_load(which))
    return found


def _load(which: UUID | str) -> FileSystem:
    # Blocks bring pydantic, which runs without them do not load.
    from sempre.client import ObjectNotFound, get_client
    from sempre.sdk.filesystems import FileSystem

    client = get_client(sync_client=True)
    try:
        if isinstance(which, UUID):
            document = client.read_block_document(which, include_secrets=True)
        else:
            slug, _, name = which.partition("/")
            document = client.read_block_document_by_name(name, slug, include_secrets=True)
    except ObjectNotFound:
        raise ConfigurationError(
            f"There is no block {which} that results could be kept in. Save one of this name first; if a relative "
            f"directory is meant, write ./{which}."
        ) from None
    slug = document.block_type.slug if document.block_type is not None else ""
    kind = FileSystem.known().get(slug)
    if kind is None:
        raise ConfigurationError(
            f"The block {which} is of type {slug!r}, and no class of that type which names a place of files was "
            "imported. local-file-system and remote-file-system are always there; others are subclasses of "
            "sempre.filesystems.FileSystem."
        )
    block = kind.model_validate(document.data)
    block._block_document_id, block._block_document_name = document.id, document.name
    return block
