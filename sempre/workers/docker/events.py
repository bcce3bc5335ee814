"""Events that tell of containers. Pure: the same container in the same status gives the same event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

__all__ = ["container_event", "event_id", "finished_at"]

_NAMESPACE = UUID("0b0e7c54-9d0a-5a4e-8b36-2f8f7f6f9a11")
_TIMES = {"created": "Created", "running": "StartedAt", "exited": "FinishedAt", "dead": "FinishedAt"}


def event_id(container_id: str, status: str, began: str) -> UUID:
    return uuid5(_NAMESPACE, f"{container_id}:{status}:{began}")


def container_event(container: Mapping[str, Any], status: str, related: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """The event that a container, as the engine shows it, entered a status."""
    state = container.get("State") or {}
    key = _TIMES.get(status, "Created")
    began = str(container.get(key) or state.get(key) or container.get("Created"))
    resource = {
        "prefect.resource.id": f"prefect.docker.container.{container['Id']}",
        "prefect.resource.name": str(container.get("Name") or "").lstrip("/"),
        "docker.image": str((container.get("Config") or {}).get("Image") or ""),
    }
    if status in ("exited", "dead"):
        resource["docker.exit-code"] = str(state.get("ExitCode"))
    return {
        "id": event_id(container["Id"], status, began),
        "occurred": moment(began),
        "event": f"prefect.docker.container.{status}",
        "resource": resource,
        "related": [dict(each) for each in related],
    }


def moment(text: str) -> datetime:
    """A time as the engine writes it, nanoseconds and all."""
    whole, _, rest = text.partition(".")
    fraction = "".join(character for character in rest[:6] if character.isdigit())
    if not rest:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)
    zone = rest.lstrip("0123456789").replace("Z", "+00:00") or "+00:00"
    return datetime.fromisoformat(f"{whole}.{fraction.ljust(6, '0')}{zone}").astimezone(UTC)


def finished_at(container: Mapping[str, Any]) -> datetime | None:
    """When it ended, None while it has not."""
    state = container.get("State") or {}
    ended = str(state.get("FinishedAt") or "0001")
    return None if state.get("Running") or ended.startswith("0001") else moment(ended)
