"""Task tag limits: at most so many running task runs per tag. A run holds its slots until it stops running."""

from sempre.core.jitter import clamped_exponential
from sempre.core.states import State, StateType
from sempre.core.transitions.model import SlotTake, TagLimit
from sempre.core.transitions.rules import Stop, abort, wait
from sempre.core.transitions.task_context import TaskContext

__all__ = ["frees_tag_slots", "take_tag_slots"]

_JITTER = 0.3
_OCCUPYING = frozenset({StateType.RUNNING, StateType.CANCELLING})


def take_tag_slots(context: TaskContext) -> Stop | None:
    """Entering RUNNING takes one slot of every active limit of the run's tags, all or none, once per run."""
    active = sorted((limit for limit in context.facts.tag_limits if limit.active), key=lambda limit: limit.tag)
    for limit in active:
        # Before anything is taken: with another tag's slot in hand the run would sit on it for nothing.
        if limit.limit <= 0:
            return abort(
                f'The concurrency limit on tag "{limit.tag}" is 0 and will deadlock if the task tries to run again.'
            )
    missing = [limit for limit in active if not limit.held]
    if any(limit.in_use >= limit.limit for limit in missing):
        tags = ", ".join(limit.tag for limit in active)
        return wait(_delay(context, missing), f"Concurrency limit reached for tags: {tags}")
    if missing:
        context.take = SlotTake(tuple(sorted(limit.id for limit in missing)), context.inputs.lease_id, None)
    return None


def frees_tag_slots(context: TaskContext, new: State) -> bool:
    """Whether persisting ``new`` has to free the run's tag slots."""
    if new.type in _OCCUPYING:
        return False
    if any(limit.held for limit in context.facts.tag_limits):
        return True
    old = context.old
    return bool(context.run.tags) and old is not None and old.type in _OCCUPYING


def _delay(context: TaskContext, missing: list[TagLimit]) -> int:
    """About as long as a slot of the fullest limit is held; never 0, which would ask the client to spin."""
    fullest = max(missing, key=lambda limit: limit.in_use / limit.limit)
    mean = min(fullest.avg_slot_occupancy_seconds, context.facts.tag_slot_wait_seconds)
    return max(1, round(clamped_exponential(context.inputs.draw, mean, _JITTER)))
