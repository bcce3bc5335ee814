"""What a worker tells of itself in events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sempre import __version__
from sempre.client import shipping
from sempre.schemas.work_pools import WorkPoolResponse
from sempre.sdk.ids import new_id, now
from sempre.sdk.serving.player_events import slug
from sempre.settings import ClientSettings

__all__ = ["WorkerEvents"]


class WorkerEvents:
    """Ships `prefect.worker.<what>` events of one worker."""

    def __init__(self, settings: ClientSettings, *, name: str, type: str) -> None:
        self._shipper = shipping.current(settings)
        self._resource = {
            "prefect.resource.id": f"prefect.worker.{type}.{slug(name)}",
            "prefect.resource.name": name,
            "prefect.version": __version__,
            "prefect.worker-type": type,
        }

    def tell(self, what: str, related: Sequence[dict[str, str]], follows: str | None = None) -> str:
        """Ship one; returns its id."""
        id = str(new_id())
        event: dict[str, Any] = {
            "id": id,
            "occurred": now().isoformat(),
            "event": f"prefect.worker.{what}",
            "resource": self._resource,
            "related": list(related),
            "payload": {},
            "follows": follows,
        }
        self._shipper.event(event)
        return id

    @staticmethod
    def of_pool(pool: WorkPoolResponse) -> list[dict[str, str]]:
        return [
            {
                "prefect.resource.id": f"prefect.work-pool.{pool.id}",
                "prefect.resource.role": "work-pool",
                "prefect.resource.name": pool.name,
            }
        ]
