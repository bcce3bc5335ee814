"""What a run prints, copied to the worker's own output while its infrastructure is watched."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine
from typing import Any

__all__ = ["copied"]

LAST_LINES_SECONDS = 5.0

log = logging.getLogger("sempre.worker")


@contextlib.asynccontextmanager
async def copied(copying: Coroutine[Any, Any, None] | None) -> AsyncIterator[None]:
    """Copy while the block waits for the infrastructure's end; what was printed last has a while to arrive after it.
    None: nothing is to be copied."""
    if copying is None:
        yield
        return
    task = asyncio.create_task(copying)
    try:
        yield
        await asyncio.wait((task,), timeout=LAST_LINES_SECONDS)
    finally:
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(ended, Exception):
            log.error("What a run printed could not be copied to its end.", exc_info=ended)
