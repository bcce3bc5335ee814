"""Finding a database that is away: one task tries to connect on behalf of everybody."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

import asyncpg

__all__ = ["Search"]

_PAUSE_SECONDS = 0.25  # after an attempt that failed at once
_PATIENCE_SECONDS = 1.0  # before another attempt is made beside one that hangs
_MOST_ATTEMPTS = 6

Connect = Callable[[], Awaitable[asyncpg.Connection]]
Found = Callable[[asyncpg.Connection, float], None]


class Search:
    """Calls ``found(connection, seconds away)`` once, with the first connection that can be made, and ends.

    A network that swallows packets lets no old attempt through in time (its retries are ever further apart), and a slow
    one no attempt that is cut short: so new attempts begin beside those that hang. ``problem`` is the latest failure.
    """

    def __init__(self, connect: Connect, problem: BaseException, found: Found) -> None:
        self.problem: BaseException = problem
        self._connect = connect
        self._found = found
        self._began = time.monotonic()
        self._attempts: set[asyncio.Task[asyncpg.Connection]] = set()
        self._task = asyncio.create_task(self._run())

    @property
    def seconds(self) -> float:
        """For how long it has been going on."""
        return time.monotonic() - self._began

    def stop(self) -> None:
        self._task.cancel()

    async def _run(self) -> None:
        try:
            connection = await self._first()
        finally:
            for attempt in self._attempts:
                attempt.cancel()
                attempt.add_done_callback(_discard)
        self._found(connection, self.seconds)

    async def _first(self) -> asyncpg.Connection:
        # Processes that lost the database together do not come back in step.
        await asyncio.sleep(_pause())
        while True:
            began, pause = time.monotonic(), _pause()
            if len(self._attempts) < _MOST_ATTEMPTS:
                self._attempts.add(asyncio.ensure_future(self._connect()))
            while self._attempts and (left := began + _PATIENCE_SECONDS - time.monotonic()) > 0:
                done, _ = await asyncio.wait(self._attempts, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                for attempt in done:
                    self._attempts.discard(attempt)
                    error = attempt.exception()
                    if error is None:
                        return attempt.result()
                    self.problem = error
            await asyncio.sleep(max(0.0, began + pause - time.monotonic()))


def _pause() -> float:
    return _PAUSE_SECONDS * random.uniform(0.8, 1.2)  # noqa: S311


def _discard(attempt: "asyncio.Task[asyncpg.Connection]") -> None:
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().terminate()
