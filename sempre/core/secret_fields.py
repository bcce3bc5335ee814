"""Secrets inside the data of a block: hiding them, and keeping them when what was hidden comes back.

A schema lists its secrets as dotted paths (``password``, ``credentials.token``); ``headers.*`` is everything below
``headers``. A path goes through lists as if it stood for each of their items.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

__all__ = ["MASK", "is_secret", "masked", "unmasked"]

MASK = "********"

_MISSING = object()


def _paths(secret_fields: Iterable[str]) -> Iterator[tuple[list[str], bool]]:
    """Every path, and whether it means everything below it."""
    for field in secret_fields:
        path = field.split(".")
        yield (path[: path.index("*")], True) if "*" in path else (path, False)


def masked(data: Mapping[str, Any], secret_fields: Iterable[str]) -> dict[str, Any]:
    """A copy of ``data`` without its secrets.

    A secret that is null stays null, except below a ``*``, where it is not told whether there is one. An object in the
    place of a secret keeps its keys and loses every value in it.
    """
    result: Any = data
    for path, below in _paths(secret_fields):
        result = _replaced(result, path, _hidden_below if below else _hidden)
    return dict(result)


def _replaced(value: Any, path: list[str], change: Callable[[Any], Any]) -> Any:
    if not path:
        return change(value)
    if isinstance(value, Mapping):
        key = path[0]
        return {**value, key: _replaced(value[key], path[1:], change)} if key in value else value
    if isinstance(value, list):
        return [_replaced(item, path, change) for item in value]
    return value


def _hidden(value: Any) -> Any:
    if value is None:
        return None
    return _hidden_below(value) if isinstance(value, Mapping) and value else MASK


def _hidden_below(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _hidden_below(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_hidden_below(item) for item in value]
    return MASK


def is_secret(key: str, secret_fields: Iterable[str]) -> bool:
    """Whether something in a top-level key of the data is secret."""
    return any(not path or path[0] == key for path, _ in _paths(secret_fields))


def unmasked(data: Mapping[str, Any], stored: Mapping[str, Any], secret_fields: Iterable[str]) -> dict[str, Any]:
    """``data`` as it was meant: a mask in the place of a secret stands for the stored value.

    A mask for which nothing is stored is taken out: it is nobody's password.
    """
    result: Any = data
    for path, _ in _paths(secret_fields):
        result = _restored(result, stored, path)
    return dict(result)


def _restored(value: Any, previous: Any, path: list[str]) -> Any:
    """``value`` with the masks at ``path`` replaced by what ``previous`` has there; below the path's end, all masks."""
    if not path and value == MASK:
        return previous
    if isinstance(value, Mapping):
        before: Mapping[str, Any] = previous if isinstance(previous, Mapping) else {}
        items = (
            (key, _restored(item, before.get(key, _MISSING), path[1:]) if not path or key == path[0] else item)
            for key, item in value.items()
        )
        return {key: item for key, item in items if item is not _MISSING}
    if isinstance(value, list):
        earlier = previous if isinstance(previous, list) else []
        restored = (_restored(item, earlier[i] if i < len(earlier) else _MISSING, path) for i, item in enumerate(value))
        return [item for item in restored if item is not _MISSING]
    return value
