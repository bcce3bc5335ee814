"""Bounds on values that an operator may move.

A server calls :func:`use` once at start with what its settings say; clients keep the defaults. Validators read
:func:`current` at each call, so there is one place to look and nothing to pass through the web framework.
"""

from dataclasses import dataclass

__all__ = ["Limits", "current", "use"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes of compact JSON where the name says bytes, else counts or characters."""

    parameter_bytes: int = 524_288  # of the parameters of a deployment or flow run; 0 = unlimited
    event_bytes: int = 1_500_000
    event_name: int = 1_024
    labels_per_resource: int = 500
    related_resources: int = 100
    max_scheduled_runs: int = 50  # upper bound of a schedule's own ``max_scheduled_runs``
    cache_key: int = 2_000
    retry_delays: int = 50
    variable_value: int = 5_000
    metadata_value: int = 500  # of one artifact metadata value; longer ones are cut


_current = Limits()


def current() -> Limits:
    return _current


def use(limits: Limits) -> None:
    """Make ``limits`` the bounds of this process from now on."""
    global _current
    _current = limits
