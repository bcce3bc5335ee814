"""Every background service, under the name operators know it by."""

from typing import Any

from sempre.db.pool import Executor
from sempre.server.services.service import Service
from sempre.server.settings import Settings

__all__ = ["SERVICES", "enabled_services", "list_services"]

_LAST_RUN = ("owner", "started", "completed", "seconds", "error")

SERVICES: tuple[Service, ...] = ()


def enabled_services(settings: Settings) -> list[Service]:
    return [service for service in SERVICES if service.enabled(settings)]


async def list_services(settings: Settings, db: Executor | None = None) -> list[dict[str, Any]]:
    """Every service: ``name``, ``enabled``, ``environment_variable``, ``description``, ``interval`` (seconds; None for
    one that runs all the time) and, with a database, its ``last_run``: ``owner``, ``started``, ``completed`` (times),
    ``seconds``, ``error``; None if it never ran.
    """
    last_runs = {} if db is None else await _last_runs(db)
    return [
        {
            "name": service.name,
            "enabled": service.enabled(settings),
            "environment_variable": service.environment_variable,
            "description": service.description,
            "interval": None if service.run is None else service.interval(settings),
            "last_run": last_runs.get(service.name),
        }
        for service in SERVICES
    ]


async def _last_runs(db: Executor) -> dict[str, dict[str, Any]]:
    rows = await db.fetch(
        f"SELECT name, {', '.join(_LAST_RUN)} FROM service WHERE started IS NOT NULL"
    )
    return {str(row["name"]): {key: row[key] for key in _LAST_RUN} for row in rows}
