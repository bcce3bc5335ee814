"""Composite triggers: how the firing of a child brings its parent to fire.

A parent keeps the newest firing of each child. Which key a child fired for plays no part.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sempre.core.triggers.model import CompositeTrigger, Firing

__all__ = ["Advance", "advance"]


@dataclass(frozen=True, slots=True)
class Advance:
    """What the parent keeps now, by child, and the firings that made it fire (``None``: it does not fire)."""

    kept: Mapping[UUID, Firing]
    fired_by: tuple[Firing, ...] | None = None


def advance(parent: CompositeTrigger, kept: Mapping[UUID, Firing], firing: Firing) -> Advance:
    """A child of ``parent`` has fired."""
    if parent.needed == 1:
        return Advance(kept, (firing,))
    if parent.within is not None:
        oldest = firing.triggered - parent.within
        kept = {child: other for child, other in kept.items() if other.triggered >= oldest}
    before = kept.get(firing.trigger_id)
    if before is not None and before.triggered > firing.triggered:
        return Advance(kept)  # a newer one of the same child is known already
    kept = {**kept, firing.trigger_id: firing}
    in_order = sorted(kept.values(), key=lambda other: other.triggered)
    if _is_complete(parent, in_order):
        return Advance({}, tuple(in_order))
    return Advance(kept)


def _is_complete(parent: CompositeTrigger, in_order: list[Firing]) -> bool:
    if parent.ordered:
        return [firing.trigger_id for firing in in_order] == [child.id for child in parent.children]
    return len(in_order) >= parent.needed
