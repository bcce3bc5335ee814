"""Global limits of canaries."""

from __future__ import annotations

from uuid import UUID

from sempre.canary.stage import Stage
from sempre.client import ApiRefused

__all__ = ["LEASE_SECONDS", "LEASING", "create_limit", "slots_in_use", "take"]

LEASE_SECONDS = 60.0  # the shortest that the protocol allows
LEASING = "POST /v2/concurrency_limits/increment-with-lease"  # the operation, which older servers have not got
_LOCKED = 423


def create_limit(stage: Stage, slots: int) -> str:
    """A limit of this stage's own; returns its name."""
    name = stage.name
    stage.client.create_global_concurrency_limit({"name": name, "limit": slots})
    stage.cleaner(f"limit {name}", lambda: stage.client.delete_global_concurrency_limit_by_name(name))
    return name


def take(stage: Stage, name: str) -> UUID | None:
    """The lease on one slot; None while there is none."""
    try:
        return stage.client.increment_concurrency_slots_with_lease([name], 1, lease_duration=LEASE_SECONDS).lease_id
    except ApiRefused as refused:
        if refused.status_code != _LOCKED:
            raise
        return None


def slots_in_use(stage: Stage, name: str) -> int:
    return stage.client.read_global_concurrency_limit_by_name(name).active_slots
