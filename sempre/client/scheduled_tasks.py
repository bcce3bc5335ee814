"""Background task runs, one by one, as a task worker asks for them."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from sempre.client import backstage
from sempre.client.bodies import parsed
from sempre.client.connection import Connection
from sempre.client.errors import ApiRefused, ApiUnreachable
from sempre.client.websocket import Lost, opened
from sempre.schemas.task_runs import TaskRun
from sempre.settings import ClientSettings

__all__ = ["ScheduledTaskRuns"]

_PATH = "/task_runs/subscriptions/scheduled"
_PAUSE_SECONDS = 0.5
_REFUSED = frozenset({1002, 1008})


class ScheduledTaskRuns:
    """Task runs with the given task keys, for this worker alone.

    A run is asked for only when somebody waits for one (`next`, or the iteration), and acknowledged as it arrives: what
    this worker has no room for stays with the server, and goes to another. Interruptions are waited out, for ever.
    Delivery is at least once: a run whose acknowledgement was lost with the connection comes again, here or elsewhere;
    the server lets only one attempt begin.
    """

    def __init__(
        self, task_keys: Iterable[str], *, client_id: str | None = None, settings: ClientSettings | None = None
    ) -> None:
        self._keys = sorted(set(task_keys))
        self._client_id = client_id or f"{socket.gethostname()}-{os.getpid()}"
        self._connection = Connection(settings)
        self._wanted = asyncio.Semaphore(0)
        self._runs: asyncio.Queue[TaskRun | Exception] = asyncio.Queue()
        self._arrived: list[TaskRun] = []
        self._task: asyncio.Task[None] | None = None

    async def next(self) -> TaskRun:
        """The next run. Raises Unauthorized or ApiRefused. A run that comes after its caller stopped waiting is given
        to the next who asks, and is in `unclaimed` until then."""
        return await backstage.arun(self._next())

    @property
    def unclaimed(self) -> list[TaskRun]:
        """Runs that were acknowledged and that nobody waits for any more. Look after the end: they are this worker's
        to run or to hand back."""
        return list(self._arrived)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> TaskRun:
        return await self.next()

    async def __aenter__(self) -> Self:
        await backstage.arun(self._begin())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await backstage.arun(self._close())

    async def _begin(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._play())

    async def _next(self) -> TaskRun:
        await self._begin()
        if self._runs.empty():
            self._wanted.release()
        run = await self._runs.get()
        if isinstance(run, Exception):
            raise run
        self._arrived.remove(run)
        return run

    async def _close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _play(self) -> None:
        wanted = False
        while True:
            try:
                transport = await self._connection.transport()
                async with opened(transport.settings, _PATH) as connection:
                    hello: dict[str, Any] = {"type": "subscribe", "keys": self._keys, "client_id": self._client_id}
                    await connection.send(json.dumps(hello))
                    while True:
                        if not wanted:
                            await self._wanted.acquire()
                            wanted = True
                        message = await connection.recv()
                        run = parsed(TaskRun, message if isinstance(message, bytes) else message.encode())
                        await connection.send('{"type":"ack"}')
                        self._arrived.append(run)
                        self._runs.put_nowait(run)
                        wanted = False
            except Lost as lost:
                if lost.code in _REFUSED:
                    self._runs.put_nowait(ApiRefused("GET", _PATH, 422, lost.reason))
                    return
            except ApiUnreachable:
                pass
            except Exception as error:  # whoever waits must hear of it, whatever it is
                self._runs.put_nowait(error)
                return
            await asyncio.sleep(_PAUSE_SECONDS)
