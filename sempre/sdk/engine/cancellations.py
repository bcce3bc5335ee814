"""One ear per process for what others do to runs: who executes a run is told when it is cancelled or suspended."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future as Handle
from datetime import datetime
from uuid import UUID

from sempre.client import backstage

__all__ = ["CANCELLING", "SUSPENDED", "listen"]

# A run that is over by then needs no ear. The stream tells of the last minute too, so nothing is missed.
_DELAY = 1.0
CANCELLING, SUSPENDED = "prefect.flow-run.Cancelling", "prefect.flow-run.Suspended"
_PREFIX = "prefect.flow-run."

_lock = threading.Lock()
Heard = Callable[[str, datetime], None]
_executed: dict[str, Heard] = {}
_ear: Handle[None] | None = None


def listen(run_id: UUID, heard: Heard) -> Callable[[], None]:
    """Call ``heard(event, occurred)``, backstage, when the run is cancelled or suspended; returns what ends that.

    Events of the last minute are told too.
    """
    global _ear
    with _lock:
        _executed[str(run_id)] = heard
        if _ear is None or _ear.done():
            _ear = backstage.spawn(_hear())

    def stop() -> None:
        with _lock:
            _executed.pop(str(run_id), None)

    return stop


async def _hear() -> None:
    from sempre.client.stream import PlainEventStream  # what short runs do without

    await asyncio.sleep(_DELAY)
    if not _executed:
        return
    try:
        async with PlainEventStream({"event": {"name": [CANCELLING, SUSPENDED]}}) as stream:
            async for event in stream:
                heard = _executed.get(event["resource"]["prefect.resource.id"].removeprefix(_PREFIX))
                if heard is not None:
                    heard(event["event"], datetime.fromisoformat(event["occurred"]))
    except Exception as error:
        # Cancelling then takes until the next proposed state, which the server refuses.
        logging.getLogger("sempre.cancellations").warning(f"Cancellations are not heard of: {error}")


def _forget() -> None:
    global _lock, _ear
    _lock, _ear = threading.Lock(), None
    _executed.clear()


backstage.after_fork.append(_forget)
