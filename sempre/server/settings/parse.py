"""Parsers of values that only the server has."""

from __future__ import annotations

from sempre.settings.parse import FALSE, TRUE

# The peer names its backends by Python module. They are names to us, never imported.
_BACKENDS = {
    "memory": "memory",
    "redis": "redis",
    "prefect.server.utilities.messaging.memory": "memory",
    "prefect.server.events.ordering.memory": "memory",
    "prefect.server.concurrency.lease_storage.memory": "memory",
    "prefect.server.worker_communication.cleanup_queue.memory": "memory",
    "prefect_redis.messaging": "redis",
    "prefect_redis.ordering": "redis",
    "prefect_redis.lease_storage": "redis",
    "prefect_redis.cleanup_queue": "redis",
}

_VACUUM_SETS = frozenset({"events", "flow_runs", "orphans"})


def parse_backend(text: str) -> str:
    """`memory` or `redis`, or one of the module names by which existing manifests say the same."""
    try:
        return _BACKENDS[text.strip()]
    except KeyError:
        raise ValueError(
            'is not a backend of ours; write "redis", or "memory" for the built-in one over Postgres'
        ) from None


def parse_vacuum(text: str) -> tuple[str, ...]:
    """The set of things the vacuum removes: a comma list of `events`, `flow_runs`, `orphans`.

    `flow_runs` implies `orphans`; `true` means all three; `false` means `events` alone.
    """
    lowered = text.strip().lower()
    if lowered in TRUE:
        return ("events", "flow_runs", "orphans")
    if not lowered or lowered in FALSE:
        return ("events",)
    wanted = {part.strip() for part in lowered.split(",") if part.strip()}
    if unknown := wanted - _VACUUM_SETS:
        raise ValueError(
            f"names {', '.join(sorted(unknown))}, which is not one of events, flow_runs, orphans (or true, false)"
        )
    if "flow_runs" in wanted:
        wanted.add("orphans")
    return tuple(sorted(wanted))


def parse_base_path(text: str) -> str:
    """A URL prefix: starts with a slash and does not end with one."""
    trimmed = text.strip().strip("/")
    return f"/{trimmed}" if trimmed else ""
