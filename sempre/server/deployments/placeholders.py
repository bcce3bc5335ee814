"""Placeholders in parameters, with the workspace's variables at hand."""

import json
from typing import Any

from sempre.core.hydration import KIND, HydrationError, hydrate
from sempre.server.scope import Scope

__all__ = ["hydrated"]


async def hydrated(scope: Scope, parameters: dict[str, Any]) -> dict[str, Any]:
    """The parameters with their placeholders replaced. Raises HydrationError."""
    if not _has_placeholder(parameters):
        return parameters
    rows = await scope.db.fetch("SELECT name, value FROM variable WHERE workspace_id = $1", scope.workspace_id)
    value = hydrate(parameters, {row["name"]: row["value"] for row in rows})
    if not isinstance(value, dict):
        raise HydrationError("Parameters must be an object.")
    return value


def _has_placeholder(value: Any) -> bool:
    return KIND in json.dumps(value, default=str)
