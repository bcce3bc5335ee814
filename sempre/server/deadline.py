"""The longest a request may wait: past it the work is cancelled and the client told to come again.

Waits have bounds of their own (for a connection, for a statement), but they add up, and the client of the protocol
gives up after 60 s, then knows nothing. Cancelling is safe at any point: what a request changes is one statement or one
transaction, so it happened or it did not, and the client that sends the same again finds out which (a state by its
``transition_id``, a run by its idempotency key, an event by its id).
"""

import asyncio
import logging
from collections.abc import Awaitable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sempre.server.errors import unavailable

__all__ = ["DeadlineMiddleware"]

log = logging.getLogger("sempre.server")


class DeadlineMiddleware:
    """Bounds the time until an answer begins. Once it has, as with downloads, the client takes what time it needs; and
    websockets have rules of their own."""

    def __init__(self, app: ASGIApp, *, seconds: float) -> None:
        self.app = app
        self.seconds = seconds
        self._watch: _Watch | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        if self._watch is None or self._watch.loop is not loop:
            self._watch = _Watch(loop, self.seconds)
        waiting = _Waiting(self._watch, send)
        try:
            await self.app(scope, receive, waiting.send)
            return
        except BaseException:
            # Cut off by us, whatever became of that on its way here, and by nobody else beside us.
            if not waiting.is_late or waiting.has_begun or waiting.task.uncancel() > 0:
                raise
        finally:
            waiting.end()
        log.warning("gave up %s %s after %g s", scope["method"], scope["path"], self.seconds)
        await unavailable(scope["app"].state)(scope, receive, send)


class _Watch:
    """The requests that wait, the oldest first, and one timer for all of them: half the price of a request that does
    nothing would be the timer of its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self.loop = loop
        self.waiting: dict[_Waiting, None] = {}
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None

    def add(self, request: "_Waiting") -> float:
        """When the request will be late. All have the same time, so the order of arrival is that of the ends."""
        until = self.loop.time() + self._seconds
        self.waiting[request] = None
        if self._timer is None:
            self._timer = self.loop.call_at(until, self._look)
        return until

    def _look(self) -> None:
        self._timer = None
        now = self.loop.time()
        while self.waiting:
            oldest = next(iter(self.waiting))
            if oldest.until > now:
                self._timer = self.loop.call_at(oldest.until, self._look)
                return
            oldest.give_up()


class _Waiting:
    """A request whose answer has not begun."""

    __slots__ = ("_send", "_watch", "has_begun", "is_late", "task", "until")

    def __init__(self, watch: _Watch, send: Send) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.task = task
        self.is_late = self.has_begun = False
        self._send = send
        self._watch = watch
        self.until = watch.add(self)

    def send(self, message: Message) -> Awaitable[None]:
        self.has_begun = True
        self.end()
        return self._send(message)

    def end(self) -> None:
        self._watch.waiting.pop(self, None)

    def give_up(self) -> None:
        self.end()
        self.is_late = True
        self.task.cancel()
