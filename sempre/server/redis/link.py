"""A Redis that may be away: who asks waits for a bounded time once, and not at all while it is known to be away.

One failure, or one answer that takes longer than the budget, marks it away. A probe about twice a second finds that
out as well, and brings it back. It writes, for a Redis that takes no writes (a replica, a full one) helps nobody.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from sempre.server.redis.clients import close_client, make_client
from sempre.server.settings.sections import RedisSettings

__all__ = ["Link", "RedisAway"]

log = logging.getLogger("sempre.redis")

_PROBE_SECONDS = 0.5
_PROBE_KEPT_MILLISECONDS = 10_000
# The same complaint is not repeated for so long.
_QUIET_SECONDS = 60.0

T = TypeVar("T")


class RedisAway(Exception):
    """Redis did not answer, or is known not to. Go on without."""


class Link:
    """One Redis, for ``role`` (a word for the log). It counts as away until the first probe, so starting never waits.

    ``client`` is for ``call`` alone: only that is bounded.
    """

    def __init__(self, role: str, url: str, settings: RedisSettings) -> None:
        self.role = role
        self._client = make_client(url, settings)
        self._budget = settings.command_budget_seconds
        self._probe_key = f"{settings.key_prefix}:probe"
        self._here = asyncio.Event()
        self._away = asyncio.Event()
        self._away.set()
        self._task: asyncio.Task[None] | None = None
        self._complained: tuple[str, float] = ("", 0.0)
        self.losses = 0  # how often it was lost, for metrics

    @property
    def up(self) -> bool:
        return self._here.is_set()

    def start(self) -> None:
        self._task = asyncio.create_task(self._watch(), name=f"redis-{self.role}")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._set_away()
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(self._budget):
                await close_client(self._client)

    async def wait_up(self) -> None:
        await self._here.wait()

    async def wait_away(self) -> None:
        await self._away.wait()

    async def call(self, command: Callable[[Redis], Awaitable[T]], *, blocking: float = 0.0) -> T:
        """The answer of ``command``, within the budget; ``blocking``: seconds that it waits inside Redis on purpose.

        Raises RedisAway, at once while it is known to be away.
        """
        if not self.up:
            raise RedisAway(f"the Redis for {self.role} is away")
        try:
            return await self._bounded(command, self._budget + blocking)
        except (RedisError, OSError, TimeoutError) as error:
            self._lost(error)
            raise RedisAway(f"the Redis for {self.role} does not answer") from error

    async def run_script(self, script: str, keys: Sequence[str], given: Sequence[object]) -> Any:
        """The answer of a Lua script, in one step. Raises RedisAway."""

        async def run(redis: Redis) -> Any:
            return await cast(Any, redis).eval(script, len(keys), *keys, *given)

        return await self.call(run)

    async def _bounded(self, command: Callable[[Redis], Awaitable[T]], seconds: float) -> T:
        task = asyncio.current_task()
        assert task is not None
        cancelled = task.cancelling()
        async with asyncio.timeout(seconds):
            answer = await command(self._client)
        if task.cancelling() > cancelled:
            # Python's wait_for, before 3.12, loses a cancellation that comes as its work ends; the client uses it.
            raise asyncio.CancelledError
        return answer

    async def _watch(self) -> None:
        while True:
            try:
                await self._bounded(
                    lambda redis: redis.set(self._probe_key, b"", px=_PROBE_KEPT_MILLISECONDS), self._budget
                )
            except (RedisError, OSError, TimeoutError) as error:
                self._lost(error)
                await self._drop_connections()
            except Exception as error:
                log.exception("the probe of the Redis for %s broke", self.role)
                self._lost(error)
            else:
                self._found()
            await asyncio.sleep(_PROBE_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311

    def _found(self) -> None:
        if not self.up:
            log.info("the Redis for %s is there", self.role)
            self._away.clear()
            self._here.set()

    def _lost(self, error: BaseException) -> None:
        what = type(error).__name__
        complaint, until = self._complained
        if complaint != what or time.monotonic() > until:
            self._complained = what, time.monotonic() + _QUIET_SECONDS
            log.warning("the Redis for %s is away; going on without (%s: %s)", self.role, what, error)
        if self.up:
            self.losses += 1
        self._set_away()

    def _set_away(self) -> None:
        self._here.clear()
        self._away.set()

    async def _drop_connections(self) -> None:
        """Idle connections may be as dead as the one that failed; each would be found out by somebody's command."""
        with contextlib.suppress(Exception):
            await self._client.connection_pool.disconnect(inuse_connections=False)
