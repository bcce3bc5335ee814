"""Waiting for an event, for a bounded time, without ever losing a stop."""

import asyncio

__all__ = ["wait_at_most"]


async def wait_at_most(seconds: float, event: asyncio.Event) -> None:
    """Until ``event`` is set, ``seconds`` at most; look at the event for which of the two it was.

    Not by ``asyncio.wait_for``: before Python 3.12 it swallows a cancellation that comes as the event is set, and who
    was told to stop goes on for ever.
    """
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
