"""What is in use of a limit, and what was refused lately, at this moment: SQL expressions over a row of
``concurrency_limit``. The same arithmetic as :mod:`sempre.core.concurrency`, where the database's clock and a
compare-and-set are needed.
"""

from sempre.server.concurrency.statements import slots_in_use

__all__ = ["active_slots", "bucket_level", "denied_slots"]

_SHORTEST_OCCUPANCY = 0.1


def _decayed(column: str, per_second: str, limit: str) -> str:
    elapsed = f"greatest(extract(epoch FROM clock_timestamp() - {limit}.updated)::float8, 0)"
    # A product beyond the range of floats is an error, and the planner may well reckon this for other rows first.
    lost = f"least(floor(least({per_second}, 1e18::float8) * {elapsed}), greatest({limit}.{column}, 0)::float8)::bigint"
    return f"({limit}.{column} - {lost})"


def bucket_level(limit: str) -> str:
    """Level now of the leaky bucket of the limit aliased ``limit``; 0 for one that does not decay."""
    return _decayed("bucket_level", f"{limit}.slot_decay_per_second", limit)


def active_slots(limit: str) -> str:
    """Slots in use now, of either kind of limit."""
    return (
        f"(CASE WHEN {limit}.slot_decay_per_second > 0 THEN {bucket_level(limit)} "
        f"ELSE {slots_in_use(f'{limit}.id')} END)"
    )


def denied_slots(limit: str, tag_wait: str, wait: str) -> str:
    """Refused slots not yet forgotten; ``tag_wait`` and ``wait`` are the longest waits in seconds, as SQL."""
    longest = f"CASE WHEN {limit}.name LIKE 'tag:%' THEN {tag_wait} ELSE {wait} END"
    occupancy = f"greatest(least({limit}.avg_slot_occupancy_seconds, {longest}), {_SHORTEST_OCCUPANCY})"
    per_second = (
        f"CASE WHEN {limit}.slot_decay_per_second > 0 THEN {limit}.slot_decay_per_second ELSE 1 / {occupancy} END"
    )
    return _decayed("denied_slots", f"({per_second})", limit)
