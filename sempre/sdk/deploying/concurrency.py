"""How many runs of a deployment may go on at once, and what becomes of those beyond."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sempre.sdk.errors import ConfigurationError

__all__ = ["limit_fields"]


def limit_fields(given: Any) -> dict[str, Any]:
    """The fields of a deployment that a limit (a number, ConcurrencyLimitConfig, mapping, None) sets.

    Raises ConfigurationError.
    """
    if given is None:
        return {"concurrency_limit": None, "concurrency_options": None}
    if isinstance(given, int):
        return {"concurrency_limit": _positive(given), "concurrency_options": None}
    told: dict[str, Any]
    if isinstance(given, Mapping):
        told = dict(given)
    else:
        names = ("limit", "collision_strategy", "grace_period_seconds")
        told = {name: getattr(given, name, None) for name in names}
    options: dict[str, Any] | None = None
    if told.get("collision_strategy") is not None:
        options = {"collision_strategy": str(told["collision_strategy"])}
        if told.get("grace_period_seconds") is not None:
            options["grace_period_seconds"] = told["grace_period_seconds"]
    return {"concurrency_limit": _positive(told.get("limit")), "concurrency_options": options}


def _positive(limit: Any) -> int:
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise ConfigurationError(f"A concurrency limit is a number above 0, not {limit!r}.")
    return limit
