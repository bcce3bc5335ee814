"""Placeholders in parameters, with the workspace's variables at hand."""

import json
from typing import Any

from sempre.core.hydration import KIND, HydrationError, hydrate
from sempre.server.scope import Scope
from sempre.server.variables.queries import values_by_name

__all__ = ["hydrated"]


async def hydrated(scope: Scope, parameters: dict[str, Any]) -> dict[str, Any]:
    """The parameters with their placeholders replaced. Raises HydrationError."""
    if not _has_placeholder(parameters):
        return parameters
    value = hydrate(parameters, await values_by_name(scope.db, scope.workspace_id))
    if not isinstance(value, dict):
        raise HydrationError("Parameters must be an object.")
    return value


def _has_placeholder(value: Any) -> bool:
    return KIND in json.dumps(value, default=str)
