"""Job variables: what a pool, a deployment and a run say about the infrastructure, laid over each other."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

__all__ = ["block_ids", "command_words", "laid_over", "with_blocks", "without_nulls"]

_ENV = "env"


def laid_over(*layers: Mapping[str, Any] | None) -> dict[str, Any]:
    """Later layers win, key by key. `env` is laid over name by name, and a key with dots (`env.FOO`,
    `resources.limits.cpu`) changes that part alone."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in (layer or {}).items():
            if "." in key:
                _set_inside(result, key.split("."), value)
            elif key == _ENV and isinstance(value, Mapping) and isinstance(result.get(_ENV), Mapping):
                result[_ENV] = {**result[_ENV], **value}
            else:
                result[key] = value
    return result


def _set_inside(target: dict[str, Any], path: list[str], value: Any) -> None:
    for name in path[:-1]:
        inner = target.get(name)
        target[name] = dict(inner) if isinstance(inner, Mapping) else {}
        target = target[name]
    target[path[-1]] = value


def without_nulls(environment: Mapping[str, Any]) -> dict[str, str]:
    """An environment as processes take it: null takes a name away, other values become text."""
    return {name: _text(value) for name, value in environment.items() if value is not None}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def command_words(command: Any) -> list[str] | None:
    """A command as a list of words; None and nothing are no command. Raises ValueError for unbalanced quotes."""
    if isinstance(command, list | tuple):
        return [str(word) for word in command] or None
    return shlex.split(str(command)) or None if command else None


def block_ids(value: Any) -> set[str]:
    """The ids of block documents that stand in the place of values: `{"$ref": {"block_document_id": ...}}`."""
    if isinstance(value, Mapping):
        if (found := _reference(value)) is not None:
            return {found}
        return {id for part in value.values() for id in block_ids(part)}
    if isinstance(value, list | tuple):
        return {id for part in value for id in block_ids(part)}
    return set()


def with_blocks(value: Any, blocks: Mapping[str, Any]) -> Any:
    """A copy of a value with the data of blocks, by id, in the place of references to them."""
    if isinstance(value, Mapping):
        if (found := _reference(value)) is not None:
            return blocks[found]
        return {key: with_blocks(part, blocks) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [with_blocks(part, blocks) for part in value]
    return value


def _reference(value: Mapping[str, Any]) -> str | None:
    reference = value.get("$ref")
    if isinstance(reference, Mapping) and reference.get("block_document_id") is not None:
        return str(reference["block_document_id"])
    return None
