"""Flows whose code lies somewhere else."""

from __future__ import annotations

import sys
from typing import Any

from sempre.sdk.deploying.storages import storage_from
from sempre.sdk.errors import ConfigurationError
from sempre.sdk.flows import Flow
from sempre.sdk.loading import load_flow_from_entrypoint

__all__ = ["flow_from_source"]


def flow_from_source(source: Any, entrypoint: str) -> Flow[Any, Any]:
    """Pull the code and load the flow at an entrypoint in it; the flow remembers where it comes from.

    Raises ConfigurationError for a source that is none, GitError, MissingFlowError, ScriptError.
    """
    storage = storage_from(source)
    place, separator, name = entrypoint.rpartition(":")
    if not separator or not place or not name:
        raise ConfigurationError(f"{entrypoint!r} is no entrypoint; one looks like flows.py:my_flow or flows:my_flow.")
    storage.pull_code()
    code = storage.destination
    if place.endswith(".py"):
        found = load_flow_from_entrypoint(f"{code / place}:{name}")
    else:
        if str(code) not in sys.path:
            sys.path.insert(0, str(code))
        found = load_flow_from_entrypoint(entrypoint)
    found._entrypoint, found._storage = entrypoint, storage
    return found
