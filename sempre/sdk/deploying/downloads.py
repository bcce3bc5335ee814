"""Files from anything that fsspec reaches, put where they belong all at once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from sempre.sdk.errors import ConfigurationError, StorageError
from sempre.sdk.remote_files import RemoteFiles

__all__ = ["download"]


def download(url: str, destination: Path, settings: Mapping[str, Any]) -> None:
    """All files below a URL into a directory, which is replaced when they are all there.

    Raises ConfigurationError without the store's library or if there is nothing at the URL, and StorageError.
    """
    files = RemoteFiles(url, settings)
    names = _names(files)
    if not names:
        raise ConfigurationError(f"There is nothing at {url}.")
    destination.parent.mkdir(parents=True, exist_ok=True)
    beside = destination.with_name(f".{destination.name}.{uuid4().hex}")
    try:
        places = [_place(beside, name) for name in names]
        for place in places:
            place.parent.mkdir(parents=True, exist_ok=True)
        files.ask("copying the files", files.system.get, list(names.values()), [str(place) for place in places])
        _replace_directory(beside, destination)
    except FileNotFoundError as error:
        raise StorageError(f"Files at {url} went away while they were copied: {error}. Try again.") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _names(files: RemoteFiles) -> dict[str, str]:
    """All files below, by their paths from the URL on."""
    files.system.invalidate_cache()
    try:
        found = files.ask("listing the files", files.system.find, files.base, detail=True)
    except FileNotFoundError:
        return {}
    below = f"{files.base}/"
    return {
        name[len(below) :]: name
        for name, about in found.items()
        # Consoles show folders by empty objects whose names end with a slash.
        if name.startswith(below) and not name.endswith("/") and about.get("type") != "directory"
    }


def _place(directory: Path, name: str) -> Path:
    """Raises StorageError for a name that leads out of the directory: stores take any."""
    place = Path(os.path.normpath(directory / name))
    if not place.is_relative_to(directory):
        raise StorageError(f"A file of the store is named {name!r}, which leads out of its directory. Delete it.")
    return place


def _replace_directory(new: Path, old: Path) -> None:
    """Put a directory in another's place."""
    away = old.with_name(f".{old.name}.{uuid4().hex}")
    if old.exists():
        old.rename(away)
    new.rename(old)
    shutil.rmtree(away, ignore_errors=True)
