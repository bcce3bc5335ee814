"""Writes task runs from the events that clients send (the consumer ``task-run-recorder`` of the event log)."""

from collections.abc import Sequence

from sempre.db.pool import Executor, Record
from sempre.server.events.consumer import Consumer, Work
from sempre.server.scope import Scope
from sempre.server.task_runs.recording import RECORD

__all__ = ["CONSUMER", "consumer", "run"]

CONSUMER = "task-run-recorder"

_COLUMNS = """
    seq, occurred,
    event LIKE 'prefect.task-run%' AND resource->>'prefect.orchestration' = 'client' IS TRUE AS wanted
"""
_ATTEMPTS = 5


async def run(scope: Scope) -> None:
    """One round of ``loop_seconds``: through what is there, then whenever the doorbell rings."""
    await consumer(scope).run_for(scope.settings.services.task_run_recorder.loop_seconds)


def consumer(scope: Scope, *, leased: bool = True) -> Consumer:
    return Consumer(
        scope.db,
        scope.doorbell,
        CONSUMER,
        _handle,
        columns=_COLUMNS,
        batch_size=scope.settings.services.task_run_recorder.read_batch_size,
        leased=leased,
    )


async def _handle(events: Sequence[Record]) -> Work:
    wanted = [event for event in events if event["wanted"]]
    if not wanted:
        return Work()
    times = [event["occurred"] for event in wanted]
    arguments = RECORD.bind(
        seqs=[event["seq"] for event in wanted], first=min(times), last=max(times), consumer=CONSUMER
    )

    async def write(tx: Executor) -> None:
        for _ in range(_ATTEMPTS):
            if await tx.fetchval(RECORD.sql, *arguments) == 0:
                return
        raise ValueError("a task run keeps appearing and disappearing")

    return Work(write)
