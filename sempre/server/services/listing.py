"""What there is of services, who runs each now, and how far behind it is."""

from typing import Any

from sempre.db.pool import Executor, Record
from sempre.server.coordination.replicas import HERE_SECONDS
from sempre.server.services.behind import OVERDUE_SECONDS, Behind, events_behind
from sempre.server.services.registry import SERVICES
from sempre.server.services.service import Service
from sempre.server.settings import Settings

__all__ = ["list_services"]

_LAST_RUN = ("owner", "started", "completed", "seconds", "error")

_TURNS = f"""
SELECT name, started, completed, seconds, error, lease_until > now() IS TRUE AS running,
       split_part(owner, ':', 1) || ':' || split_part(owner, ':', 2) AS owner,
       {OVERDUE_SECONDS} AS overdue
FROM service WHERE started IS NOT NULL
"""

# The services that processes tell of, and the consumers of the log that each of them has a lease of.
_REPLICAS = """
SELECT age.key AS name, host || ':' || pid AS owner, seen - make_interval(secs => age.value::text::float8) AS completed,
       ARRAY(SELECT c.name FROM event_consumer c WHERE c.owner = r.id AND c.lease_until > now()) AS consumers
FROM replica r CROSS JOIN LATERAL jsonb_each(ages) age
WHERE seen > now() - make_interval(secs => $1)
ORDER BY r.started
"""


async def list_services(settings: Settings, db: Executor | None = None) -> list[dict[str, Any]]:
    """Every service: ``name``, ``enabled``, ``environment_variable``, ``description``, ``interval`` (seconds; None for
    one that runs all the time), and with a database:

    - ``running_on``: the processes (host:pid) at work on it now;
    - ``last_run``: ``owner`` (host:pid), ``started``, ``completed`` (times), ``seconds``, ``error``; of services that
      run all the time only the first and the third; None if it never ran;
    - ``behind``: ``overdue_seconds`` of a turn that is due, or ``events`` or ``actions`` (a number, counted up to
      10000) and ``oldest_seconds``; None if nothing is known.
    """
    turns = {row["name"]: row for row in await db.fetch(_TURNS)} if db else {}
    replicas = await db.fetch(_REPLICAS, HERE_SECONDS) if db else []
    listed = []
    for service in SERVICES:
        entry = _settled(service, settings)
        if db is not None and service.continuous:
            mine = [row for row in replicas if row["name"] == service.name]
            entry |= _shared(service, mine) | {"behind": await _behind(service, db)}
        elif service.name in turns:
            entry |= _taken(turns[service.name])
        listed.append(entry)
    return listed


def _settled(service: Service, settings: Settings) -> dict[str, Any]:
    return {
        "name": service.name,
        "enabled": service.enabled(settings),
        "environment_variable": service.environment_variable,
        "description": service.description,
        "interval": None if service.continuous else service.interval(settings),
        "running_on": [],
        "last_run": None,
        "behind": None,
    }


def _taken(row: Record) -> dict[str, Any]:
    return {
        "running_on": [row["owner"]] if row["running"] else [],
        "last_run": {key: row[key] for key in _LAST_RUN},
        "behind": {"overdue_seconds": row["overdue"]},
    }


def _shared(service: Service, replicas: list[Record]) -> dict[str, Any]:
    at_work = [row for row in replicas if service.consumer is None or service.consumer in row["consumers"]]
    newest = max(at_work, key=lambda row: row["completed"], default=None)
    last = dict.fromkeys(_LAST_RUN) | {"owner": newest["owner"], "completed": newest["completed"]} if newest else None
    return {"running_on": [row["owner"] for row in at_work], "last_run": last}


async def _behind(service: Service, db: Executor) -> Behind | None:
    if service.consumer:
        return await events_behind(service.consumer, db)
    return await service.behind(db) if service.behind else None
