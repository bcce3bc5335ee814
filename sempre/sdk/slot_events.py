"""What is told of slots that were taken and given back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sempre.sdk.events import emit_event

__all__ = ["tell_slots"]


def tell_slots(
    what: str, limits: Sequence[Mapping[str, Any]], before: Sequence[dict[str, Any]] = ()
) -> list[dict[str, Any]]:
    """An event for each of the limits (``id``, ``name``, ``limit``), the others related to it; the events are returned.

    ``what`` is `acquired` or `released`; ``before``: the events that these follow, one for each limit.
    """
    told = []
    for number, limit in enumerate(limits):
        others = [_resource(each) for each in limits if each is not limit]
        told.append(
            emit_event(
                f"prefect.concurrency-limit.{what}",
                {**_resource(limit), "limit": str(limit["limit"])},
                related=[{**each, "prefect.resource.role": "concurrency-limit"} for each in others],
                follows=before[number] if before else None,
            )
        )
    return told


def _resource(limit: Mapping[str, Any]) -> dict[str, str]:
    return {
        "prefect.resource.id": f"prefect.concurrency-limit.{limit['id']}",
        "prefect.resource.name": str(limit["name"]),
    }
