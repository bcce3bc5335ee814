"""Which objects an event is about, as far as automations act on them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

__all__ = ["involved", "involved_in", "of_kind"]

_OBJECT = re.compile(
    r"prefect\.([a-z0-9-]+)\.([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})"
)


def of_kind(resource_id: str | None, kind: str) -> UUID | None:
    """The id of the object that a resource id names, if it names one of that kind."""
    match = _OBJECT.fullmatch(resource_id or "")
    return UUID(match[2]) if match is not None and match[1] == kind else None


def involved(event: Mapping[str, Any]) -> Iterator[Mapping[str, str]]:
    """The resources of an event: the primary one, then the related ones in order."""
    yield event["resource"]
    yield from event.get("related") or ()


def involved_in(event: Mapping[str, Any], kind: str) -> UUID | None:
    """The first object of that kind (``flow-run``, ``deployment``, ...) that the event is about."""
    found = (of_kind(resource.get("prefect.resource.id"), kind) for resource in involved(event))
    return next((id for id in found if id is not None), None)
