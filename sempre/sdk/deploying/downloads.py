"""Files from anything that fsspec reaches, put where they belong all at once."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from sempre.sdk.errors import ConfigurationError

__all__ = ["download", "file_system"]


def download(url: str, destination: Path, settings: Mapping[str, Any]) -> None:
    """All files below a URL into a directory, which is replaced when they are all there.

    Raises ConfigurationError without fsspec or if there is nothing at the URL.
    """
    files, base = file_system(url, settings)
    if not files.exists(base):
        raise ConfigurationError(f"There is nothing at {url}.")
    destination.parent.mkdir(parents=True, exist_ok=True)
    beside = destination.with_name(f".{destination.name}.{uuid4().hex}")
    try:
        files.get(base.rstrip("/") + "/", f"{beside}/", recursive=True)
        _replace_directory(beside, destination)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def file_system(url: str, settings: Mapping[str, Any]) -> tuple[Any, str]:
    """What reaches a URL, and the path of the URL in it. Raises ConfigurationError without fsspec."""
    try:
        import fsspec
    except ImportError:
        raise ConfigurationError(
            f"Code at {url} needs fsspec and that storage's library: pip install 'sempre[s3]' (or gcs, azure)."
        ) from None
    files, base = fsspec.core.url_to_fs(url, **settings)
    files.invalidate_cache()
    return files, base


def _replace_directory(new: Path, old: Path) -> None:
    """Put a directory in another's place."""
    away = old.with_name(f".{old.name}.{uuid4().hex}")
    if old.exists():
        old.rename(away)
    new.rename(old)
    shutil.rmtree(away, ignore_errors=True)
