"""Hashes of values, as cache keys are made of."""

import hashlib
from typing import Any

from sempre.sdk.errors import HashError

__all__ = ["hash_objects", "stable_hash"]


def stable_hash(*parts: str | bytes) -> str:
    """32 hex digits of these texts, the same in every process."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
        digest.update(b"\0")
    return digest.hexdigest()[:32]


def hash_objects(*args: Any, **kwargs: Any) -> str:
    """32 hex digits of any values: of their JSON where they have one, of their pickle otherwise.

    Raises HashError for what can be neither.
    """
    try:
        return stable_hash(_json((args, kwargs)))
    except (TypeError, ValueError, RecursionError):
        pass
    try:
        import cloudpickle

        return stable_hash(cloudpickle.dumps((args, kwargs)))
    except Exception as error:
        raise HashError(
            f"No cache key can be made of these values ({error}). Leave them out of the key: "
            "cache_policy=INPUTS - 'parameter', or use a cache_key_fn of your own."
        ) from None


def _json(value: Any) -> bytes:
    import json

    from pydantic_core import to_jsonable_python

    def strict(unknown: Any) -> Any:
        raise TypeError(type(unknown).__name__)

    plain = to_jsonable_python(value, fallback=strict, serialize_unknown=False)
    # The types are part of it: 1, 1.0, "1" and (1,) are different inputs.
    return json.dumps([plain, _types(value)], sort_keys=True).encode()


def _types(value: Any) -> Any:
    if isinstance(value, dict):
        return {"dict": {str(k): _types(v) for k, v in value.items()}, "keys": sorted(type(k).__name__ for k in value)}
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, [_types(each) for each in value]]
    return f"{type(value).__module__}.{type(value).__qualname__}"
