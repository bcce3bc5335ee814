"""The settings a process runs with, as it may show them: secrets masked, spans of time in ISO 8601."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from sempre.server.settings import Settings, describe

__all__ = ["effective_settings"]

MASK = "**********"

_SECONDS = "_seconds"
_DURATION = TypeAdapter(timedelta)


def effective_settings(settings: Settings) -> dict[str, Any]:
    """The tree of settings; ``*_seconds`` appear without the suffix, as ISO 8601 durations."""
    tree: dict[str, Any] = {}
    for info in describe():
        *sections, name = info.path.split(".")
        value: Any = settings
        for part in (*sections, name):
            value = getattr(value, part)
        branch = tree
        for section in sections:
            branch = branch.setdefault(section, {})
        if info.secret:
            branch[name] = None if value is None else MASK
        elif name.endswith(_SECONDS) and isinstance(value, int | float) and not isinstance(value, bool):
            branch[name.removesuffix(_SECONDS)] = _DURATION.dump_python(timedelta(seconds=value), mode="json")
        else:
            branch[name.removesuffix(_SECONDS)] = _plain(value)
    return tree


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple | list | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return value
