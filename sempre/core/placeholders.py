"""`{{ name }}` in JSON values: which there are, and other values in their places."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["MISSING", "fill", "names"]

_PLACEHOLDER = re.compile(r"\{\{\s*([\w.\-\[\]$]+)\s*\}\}")


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Any = _Missing()
"""A placeholder that has no value: what consists of it alone is left out."""


def names(value: Any) -> set[str]:
    """The names of all placeholders in the keys and values of a JSON value."""
    if isinstance(value, str):
        return set(_PLACEHOLDER.findall(value))
    if isinstance(value, Mapping):
        return {name for item in value.items() for part in item for name in names(part)}
    if isinstance(value, list | tuple):
        return {name for part in value for name in names(part)}
    return set()


def fill(value: Any, lookup: Callable[[str], Any]) -> Any:
    """A copy of a JSON value with what `lookup(name)` gives in the place of each placeholder.

    A text that is one placeholder becomes that very value, or MISSING; a key or element that becomes MISSING is left
    out. Inside of a longer text values are written as text, those that are missing or None as nothing.
    """
    if isinstance(value, str):
        return _text(value, lookup)
    if isinstance(value, Mapping):
        filled = {key: fill(part, lookup) for key, part in value.items()}
        return {_key(key, lookup): part for key, part in filled.items() if part is not MISSING}
    if isinstance(value, list | tuple):
        return [part for part in (fill(part, lookup) for part in value) if part is not MISSING]
    return value


def _key(key: Any, lookup: Callable[[str], Any]) -> Any:
    return _inside(key, lookup) if isinstance(key, str) else key


def _text(text: str, lookup: Callable[[str], Any]) -> Any:
    whole = _PLACEHOLDER.fullmatch(text.strip())
    return lookup(whole.group(1)) if whole else _inside(text, lookup)


def _inside(text: str, lookup: Callable[[str], Any]) -> str:
    def written(match: re.Match[str]) -> str:
        found = lookup(match.group(1))
        return "" if found is MISSING or found is None else str(found)

    return _PLACEHOLDER.sub(written, text) if "{{" in text else text
