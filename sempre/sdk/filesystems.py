"""Blocks that name places of files: a directory of this machine, or any store that fsspec reaches."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from pydantic import Field, PrivateAttr

from sempre.sdk.blocks import Block
from sempre.sdk.dual import dual
from sempre.sdk.results.storages import FsspecStorage, LocalStorage, Storage

__all__ = ["FileSystem", "LocalFileSystem", "RemoteFileSystem"]


class FileSystem(Block):
    """What these blocks have in common. As ``result_storage`` of a flow or task, results are kept there.

    ``read_path`` and ``write_path`` wait where code is plain and are awaited in coroutines.
    """

    _opened: Storage | None = PrivateAttr(default=None)

    def storage(self) -> Storage:
        """The place itself. Raises ConfigurationError if the library for it is not installed."""
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    async def aread_path(self, path: str) -> bytes:
        """The content of a file, named from the block's directory on. Raises FileNotFoundError."""
        return await asyncio.to_thread(self.storage().read, path)

    async def awrite_path(self, path: str, content: bytes) -> str:
        """Write a file, whole or not at all; returns its path."""
        await asyncio.to_thread(self.storage().write, path, content)
        return path

    def read_path(self, path: str) -> bytes:
        """See :meth:`aread_path`."""
        return dual(self.aread_path)(path)

    def write_path(self, path: str, content: bytes) -> str:
        """See :meth:`awrite_path`."""
        return dual(self.awrite_path)(path, content)

    @classmethod
    def known(cls) -> dict[str, type[FileSystem]]:
        """The classes below this one that were imported, by the slug of their type."""
        found: dict[str, type[FileSystem]] = {}
        for each in cls.__subclasses__():
            found |= {each.get_block_type_slug(): each, **each.known()}
        return found

    def _open(self) -> Storage:
        raise TypeError(f"{type(self).__name__} does not say where its files are")


class LocalFileSystem(FileSystem):
    """A directory of the machine that a run is on; none: where the process runs."""

    _block_type_name: ClassVar[str | None] = "Local File System"
    _block_type_slug: ClassVar[str | None] = "local-file-system"

    basepath: str | None = None

    def _open(self) -> Storage:
        return LocalStorage(self.basepath or ".")


class RemoteFileSystem(FileSystem):
    """A directory of any store that fsspec knows, with its scheme (`s3://bucket/folder`); ``settings`` go to fsspec."""

    _block_type_name: ClassVar[str | None] = "Remote File System"
    _block_type_slug: ClassVar[str | None] = "remote-file-system"

    basepath: str
    settings: dict[str, Any] = Field(default_factory=dict)

    def _open(self) -> Storage:
        return FsspecStorage(self.basepath, **self.settings)
