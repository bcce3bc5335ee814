"""The operations as the rooms declare them, known before any app is made, in an order that is good for fuzzing."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sempre.server.routers import API_ROUTERS

__all__ = ["RUNS", "declared", "in_order"]

_CONVERTOR = re.compile(r":\w+\}")

RUNS = frozenset({"flow_runs", "task_runs", "flows", "deployments", "flow_run_states", "task_run_states", "ui"})
"""The resources around runs: about half of the operations."""


def declared() -> list[str]:
    """``METHOD /path`` of every operation, without the API's prefix."""
    return [
        f"{method} {_CONVERTOR.sub('}', room.prefix + path)}"
        for room in API_ROUTERS
        for path, _, options in room.declared
        if options.get("include_in_schema", True)
        for method in sorted(options.get("methods") or ["GET"])
    ]


def in_order(keys: Iterable[str]) -> list[str]:
    """What makes objects first, then what changes them, then what reads them, and last what deletes."""
    return sorted(keys, key=lambda key: (_rank(key), key))


def _rank(key: str) -> int:
    method, path = key.split()
    if method == "DELETE" or path.endswith("/bulk_delete"):
        return 3
    if method == "GET" or re.search(r"/(filter|count|paginate|history|lateness|count-.*|next)$", path):
        return 2
    return 0 if path.endswith("/") else 1
