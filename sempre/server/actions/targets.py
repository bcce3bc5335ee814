"""The object an action acts on: the selected one, or the one its triggering event is about."""

from uuid import UUID

from sempre.core.inference import involved_in, of_kind
from sempre.server.actions.invocation import ActionFailed, Invocation

__all__ = ["flow_run_of", "target_of"]


def target_of(invocation: Invocation, kind: str, selected: UUID | None) -> UUID:
    """``kind`` is the object's as in resource ids. Raises ActionFailed."""
    if selected is not None:
        return selected
    words = kind.replace("-", " ")
    if invocation.triggering_event is None:
        raise ActionFailed(f"No event to infer the {words}")
    inferred = involved_in(invocation.triggering_event, kind)
    if inferred is None:
        raise ActionFailed(f"No {words} could be inferred")
    return inferred


def flow_run_of(invocation: Invocation) -> UUID:
    """The run that the automation counted for, or else the one the event is about. Raises ActionFailed."""
    labels = invocation.firing["triggering_labels"]
    run = of_kind(labels.get("prefect.resource.id"), "flow-run")
    if run is None and invocation.triggering_event is not None:
        run = involved_in(invocation.triggering_event, "flow-run")
    if run is None:
        raise ActionFailed("No flow run could be inferred")
    return run
