"""Keeping the pulse of every flow run that sends heartbeats (the consumer ``heartbeats`` of the event log)."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sempre.core.heartbeats import Pulse, pulse_after
from sempre.db.pool import Executor, Record
from sempre.server.events.consumer import Consumer, Work
from sempre.server.scope import Scope
from sempre.server.settings.services import HeartbeatsSettings

__all__ = ["CONSUMER", "consumer"]

CONSUMER = "heartbeats"

_PREFIX = "prefect.flow-run."
_COLUMNS = (
    "seq, workspace_id, occurred, received, CASE WHEN event = 'prefect.flow-run.heartbeat' THEN resource_id END AS run"
)
_BATCH = 500

_LOAD = """
SELECT h.* FROM unnest($1::uuid[], $2::uuid[]) AS wanted(id, workspace_id)
JOIN flow_run_heartbeat h ON h.flow_run_id = wanted.id AND h.workspace_id = wanted.workspace_id
"""

_KEEP = """
INSERT INTO flow_run_heartbeat (flow_run_id, workspace_id, heard, beat, gap, due)
SELECT k.*, k.heard + make_interval(secs => $6 * greatest(k.gap, $7))
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::float8[])
    AS k(flow_run_id, workspace_id, heard, beat, gap)
ON CONFLICT (flow_run_id, workspace_id) DO UPDATE SET
    heard = excluded.heard, beat = excluded.beat, gap = excluded.gap, due = excluded.due
"""

_Run = tuple[UUID, UUID]  # its id and its workspace's


def consumer(scope: Scope, *, leased: bool = True) -> Consumer:
    settings = scope.settings.services.heartbeats

    async def handle(events: Sequence[Record]) -> Work:
        heartbeats: dict[_Run, list[tuple[datetime, datetime]]] = defaultdict(list)
        for event in events:
            if (run := _run_of(event)) is not None:
                heartbeats[run].append((event["occurred"], event["received"]))
        if not heartbeats:
            return Work()
        runs = sorted(heartbeats)
        rows = await scope.db.fetch(_LOAD, [id for id, _ in runs], [workspace for _, workspace in runs])
        known = {
            (row["flow_run_id"], row["workspace_id"]): Pulse(row["heard"], row["beat"], row["gap"]) for row in rows
        }
        pulses = [
            (run, pulse)
            for run in runs
            if (pulse := pulse_after(known.get(run), heartbeats[run], settings.assumed_interval_seconds)) is not None
        ]

        async def write(tx: Executor) -> None:
            await _keep(tx, pulses, settings)

        return Work(write)

    return Consumer(
        scope.db,
        scope.doorbell,
        CONSUMER,
        handle,
        columns=_COLUMNS,
        batch_size=_BATCH,
        leased=leased,
        from_now=True,
    )


def _run_of(event: Record) -> _Run | None:
    if event["run"] is None or not event["run"].startswith(_PREFIX):
        return None
    try:
        return UUID(event["run"].removeprefix(_PREFIX)), event["workspace_id"]
    except ValueError:
        return None


async def _keep(tx: Executor, pulses: Sequence[tuple[_Run, Pulse]], settings: HeartbeatsSettings) -> None:
    await tx.execute(
        _KEEP,
        [run[0] for run, _ in pulses],
        [run[1] for run, _ in pulses],
        [pulse.heard for _, pulse in pulses],
        [pulse.beat for _, pulse in pulses],
        [pulse.gap for _, pulse in pulses],
        float(settings.missed_heartbeats),
        settings.shortest_interval_seconds,
    )
