"""Where bytes are kept: a local directory, or anything that fsspec reaches."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast
from uuid import uuid4

from sempre.sdk.errors import ConfigurationError
from sempre.sdk.remote_files import RemoteFiles

if TYPE_CHECKING:
    from sempre.sdk.filesystems import FileSystem

__all__ = ["FsspecStorage", "LocalStorage", "Storage", "storage_of"]


class Storage(Protocol):
    """Keys are relative paths with forward slashes. Who reads a key sees all of what was written last, or nothing."""

    def read(self, key: str) -> bytes:
        """Raises FileNotFoundError, and StorageError or what the system raises."""

    def write(self, key: str, content: bytes) -> None: ...

    def exists(self, key: str) -> bool: ...

    def delete(self, key: str) -> None:
        """Nothing happens if it is not there."""

    def to_json(self) -> dict[str, Any] | None:
        """How another process finds the same place."""


class LocalStorage:
    """Files in a directory. Absolute keys are taken as they are."""

    def __init__(self, basepath: str | os.PathLike[str]) -> None:
        self.basepath = Path(basepath).expanduser().absolute()

    def read(self, key: str) -> bytes:
        return self.path(key).read_bytes()

    def write(self, key: str, content: bytes) -> None:
        path = self.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name[:200]}.{uuid4().hex}")
        try:
            beside.write_bytes(content)
            os.replace(beside, path)  # all or nothing, whoever is killed when
        except BaseException:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
            raise

    def exists(self, key: str) -> bool:
        return self.path(key).is_file()

    def delete(self, key: str) -> None:
        self.path(key).unlink(missing_ok=True)

    def path(self, key: str) -> Path:
        """Raises ValueError for a key that leads out of the directory."""
        path = Path(os.path.normpath(self.basepath / key))
        if not Path(key).is_absolute() and not path.is_relative_to(self.basepath):
            raise ValueError(f"the key {key!r} leads out of {self.basepath}")
        return path

    def to_json(self) -> dict[str, Any] | None:
        return {"type": "local", "basepath": str(self.basepath)}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LocalStorage) and other.basepath == self.basepath

    def __hash__(self) -> int:
        return hash(self.basepath)

    def __repr__(self) -> str:
        return f"LocalStorage({str(self.basepath)!r})"


class FsspecStorage:
    """Objects below a URL of any file system that fsspec knows: `s3://bucket/results`, `gs://...`, `az://...`.

    ``options`` go to the file system. They are not written into states, because they may be secrets: whoever reads
    a result needs the same options in its own environment. A store that is away is waited for, up to half a minute;
    then, and for what it refuses, StorageError is raised.
    """

    def __init__(self, url: str, **options: Any) -> None:
        self._files = RemoteFiles(url, options)
        self.url = self._files.url

    def read(self, key: str) -> bytes:
        files = self._files
        content: bytes = files.ask(f"reading {key!r}", files.system.cat_file, files.path(key))
        return content

    def write(self, key: str, content: bytes) -> None:
        files, path = self._files, self._files.path(key)
        files.make_directory(path.rpartition("/")[0])
        files.put(f"writing {key!r}", lambda: files.system.pipe_file(path, content))

    def exists(self, key: str) -> bool:
        files = self._files
        files.system.invalidate_cache()
        return bool(files.ask(f"looking for {key!r}", files.system.exists, files.path(key)))

    def delete(self, key: str) -> None:
        files = self._files
        with contextlib.suppress(FileNotFoundError):
            files.ask(f"deleting {key!r}", files.system.rm_file, files.path(key))

    def to_json(self) -> dict[str, Any] | None:
        return {"type": "fsspec", "url": self.url}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FsspecStorage) and other.url == self.url

    def __hash__(self) -> int:
        return hash(self.url)

    def __repr__(self) -> str:
        return f"FsspecStorage({self.url!r})"


def storage_of(wanted: Storage | FileSystem | str | os.PathLike[str] | dict[str, Any]) -> Storage:
    """The storage of a directory, a URL, a block or its `type/name`, or the JSON in metadata.

    Raises ConfigurationError.
    """
    if isinstance(wanted, os.PathLike):
        return LocalStorage(wanted)
    if isinstance(wanted, dict):
        kind = wanted.get("type")
        if kind == "local":
            return LocalStorage(str(wanted["basepath"]))
        if kind == "fsspec":
            return FsspecStorage(str(wanted["url"]))
        raise ConfigurationError(f"This version knows no storage of results of type {kind!r}.")
    from sempre.sdk.results.block_storage import BlockStorage, is_block_reference, storage_of_block

    if not isinstance(wanted, str):
        is_block = hasattr(wanted, "storage")
        return BlockStorage(cast("FileSystem", wanted)) if is_block else cast("Storage", wanted)
    if is_block_reference(wanted):
        return storage_of_block(wanted)
    scheme, separator, rest = wanted.partition("://")
    if separator:
        return LocalStorage(rest) if scheme == "file" else FsspecStorage(wanted)
    return LocalStorage(wanted)
