"""What the environment of a flow run's process says: which API, on whose behalf, which run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Any

from sempre.settings import ClientSettings
from sempre.settings.client import describe
from sempre.settings.parse import as_text

__all__ = ["attribution", "settings_environment"]

_INHERITED = "home"  # by what runs on this machine, and meaningless elsewhere
_SHORTEST_HEARTBEAT = 30  # seconds that clients of the protocol accept


def settings_environment(settings: ClientSettings) -> dict[str, str]:
    """Every setting that differs from its default, by our name and by the one that the protocol's clients know.

    Heartbeats are asked for in any case: by them a run whose process died is found.
    """
    environment: dict[str, str] = {}
    for info in describe():
        value = reduce(getattr, info.path.split("."), settings)
        if value == info.default or value is None or info.path == _INHERITED:
            continue
        for name in (info.name, *info.aliases[:1]):
            environment[name] = as_text(value)
    frequency = settings.flows.heartbeat_frequency
    if frequency > 0:
        environment["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] = str(max(_SHORTEST_HEARTBEAT, round(frequency)))
    return environment


def attribution(
    *,
    flow_run_id: Any,
    flow_id: Any = None,
    flow_name: str | None = None,
    deployment_id: Any = None,
    deployment_name: str | None = None,
    worker_id: Any = None,
    worker_name: str | None = None,
) -> dict[str, str]:
    """Which run a process executes, and for whom, under both names of each variable."""
    known: Mapping[str, Any] = {
        "FLOW_RUN_ID": flow_run_id,
        "FLOW_ID": flow_id,
        "FLOW_NAME": flow_name,
        "DEPLOYMENT_ID": deployment_id,
        "DEPLOYMENT_NAME": deployment_name,
        "WORKER_ID": worker_id,
        "WORKER_NAME": worker_name,
    }
    return {name: str(value) for key, value in known.items() if value is not None for name in _both(f"__{key}")}


def _both(suffix: str) -> Iterable[str]:
    return f"SEMPRE{suffix}", f"PREFECT{suffix}"
