"""One ear per process for cancellations: who executes a run is called when somebody cancels it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future as Handle
from uuid import UUID

from sempre.client import backstage

__all__ = ["listen"]

# A run that is over by then needs no ear. The stream tells of the last minute too, so nothing is missed.
_DELAY = 1.0
_EVENT = "prefect.flow-run.Cancelling"
_PREFIX = "prefect.flow-run."

_lock = threading.Lock()
_executed: dict[str, Callable[[], None]] = {}
_ear: Handle[None] | None = None


def listen(run_id: UUID, cancelled: Callable[[], None]) -> Callable[[], None]:
    """Call ``cancelled()``, backstage, when the run is cancelled; returns what ends that."""
    global _ear
    with _lock:
        _executed[str(run_id)] = cancelled
        if _ear is None or _ear.done():
            _ear = backstage.spawn(_hear())

    def stop() -> None:
        with _lock:
            _executed.pop(str(run_id), None)

    return stop


async def _hear() -> None:
    from sempre.client.streams import EventStream  # loads models, which short runs do without

    await asyncio.sleep(_DELAY)
    if not _executed:
        return
    try:
        async with EventStream({"event": {"name": [_EVENT]}}) as stream:
            async for event in stream:
                cancelled = _executed.get(event.resource.id.removeprefix(_PREFIX))
                if cancelled is not None:
                    cancelled()
    except Exception as error:
        # Cancelling then takes until the next proposed state, which the server refuses.
        logging.getLogger("sempre.cancellations").warning(f"Cancellations are not heard of: {error}")


def _forget() -> None:
    global _lock, _ear
    _lock, _ear = threading.Lock(), None
    _executed.clear()


backstage.after_fork.append(_forget)
