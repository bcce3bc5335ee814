"""Files of a directory, put where fsspec reaches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from sempre.sdk.remote_files import RemoteFiles

__all__ = ["upload"]

_NEVER = (".git", "__pycache__", ".venv", "*.pyc")


def upload(directory: Path, url: str, settings: Mapping[str, Any], ignore_file: str | None = None) -> int:
    """Copy the files of a directory to below a URL; returns how many. What is there already and here not stays.

    ``ignore_file``: a file of patterns, one a line, of paths or names that are left out; none if it is not there.
    Raises ConfigurationError without the store's library, and StorageError.
    """
    files = RemoteFiles(url, settings)
    count = 0
    made: set[str] = set()
    for path in _chosen(directory, _patterns(directory, ignore_file)):
        local, target = str(directory / path), files.path(path.as_posix())
        parent = target.rpartition("/")[0]
        if parent not in made:
            made.add(parent)
            files.make_directory(parent)
        files.put(f"writing {path}", partial(files.system.put_file, local, target))
        count += 1
    return count


def _patterns(directory: Path, ignore_file: str | None) -> list[str]:
    path = None if ignore_file is None else directory / ignore_file
    lines = path.read_text(encoding="utf-8").splitlines() if path is not None and path.is_file() else []
    return [*_NEVER, *(line.strip() for line in lines if line.strip() and not line.startswith("#"))]


def _chosen(directory: Path, patterns: list[str]) -> Iterator[PurePosixPath]:
    for path in sorted(directory.rglob("*")):
        relative = PurePosixPath(path.relative_to(directory).as_posix())
        if path.is_file() and not any(_matches(relative, pattern) for pattern in patterns):
            yield relative


def _matches(path: PurePosixPath, pattern: str) -> bool:
    """A pattern with a slash is about the path from the top, one without about any part of it."""
    wanted = pattern.rstrip("/")
    if "/" in wanted:
        whole = wanted.lstrip("/")
        return any(fnmatchcase(str(each), whole) for each in (path, *path.parents))
    return any(fnmatchcase(part, wanted) for part in path.parts)
