"""Flows that canaries make deployments of: found by their entrypoints, in whatever process executes them."""

from __future__ import annotations

import time

from sempre.sdk.flows import flow
from sempre.sdk.pausing import suspend_flow_run

__all__ = ["hang", "hold", "nap", "stand_by"]


@flow
def nap() -> str:
    """Ends at once."""
    return "rested"


@flow
def hold(seconds: float) -> None:
    """Occupies its slot for a while."""
    time.sleep(seconds)


@flow
def hang() -> None:
    """Never ends by itself in time."""
    time.sleep(3600)


@flow
def stand_by() -> str:
    """Gives its process up once, until it is resumed."""
    suspend_flow_run(timeout=600)
    return "resumed"
