"""Events by which players tell of runs. Of a cancelled run tells who makes it Cancelled: its process, or in its place
the player that ended it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sempre import __version__
from sempre.sdk.ids import new_id, now

__all__ = ["RUNNER_NAME", "STANDALONE", "cancelled_event", "slug"]

STANDALONE = "standalone"
"""The name of whoever executes a single run."""

RUNNER_NAME = "SEMPRE__RUNNER_NAME"
"""The variable by which a run's process knows who has started it."""


def slug(name: str) -> str:
    """A name as it stands in the id of a resource."""
    return "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())


def cancelled_event(runner_name: str, related: Iterable[Mapping[str, str]]) -> dict[str, Any]:
    """That a run was cancelled and its process has ended."""
    return {
        "id": str(new_id()),
        "occurred": now().isoformat(),
        "event": "prefect.runner.cancelled-flow-run",
        "resource": {
            "prefect.resource.id": f"prefect.runner.{slug(runner_name)}",
            "prefect.resource.name": runner_name,
            "prefect.version": __version__,
        },
        "related": [dict(each) for each in related],
        "payload": {},
        "follows": None,
    }
