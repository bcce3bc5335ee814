"""What goes on backstage while a flow run's code is executed: its pulse, its lease, and an ear for cancellation."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future as Handle
from datetime import datetime
from types import FrameType
from typing import Any
from uuid import UUID

from sempre import __version__
from sempre.client import backstage
from sempre.sdk.api import ClientOrchestrator
from sempre.sdk.engine.cancellations import CANCELLING, listen
from sempre.sdk.engine.related import surroundings_of
from sempre.sdk.engine.task_events import iso
from sempre.sdk.engine.timeouts import interrupt_thread
from sempre.sdk.errors import TerminationSignal
from sempre.sdk.ids import new_id, now
from sempre.sdk.runs import FlowRun

__all__ = ["RunWatch"]

_DEPLOYMENT_LEASE = 300.0  # seconds that a deployment's slot is held without being renewed


class RunWatch:
    """Begins with the run's code and ends with it. The heart beats outside of the user's thread, so that code which
    never lets go of it is not taken for dead."""

    def __init__(
        self,
        run: FlowRun,
        flow_name: str,
        api: ClientOrchestrator,
        emit: Callable[[dict[str, Any]], None],
        frequency: float,
    ) -> None:
        self.cancelled = False
        self.suspended = False
        # What was done to the run before this process had it is of no concern.
        self._since = None if run.state is None else run.state.timestamp
        self._thread = threading.get_ident()
        self._in_main = threading.current_thread() is threading.main_thread()
        self._loop, self._task = _loop_here()
        self._handler: Any = None
        self._work: list[Handle[None]] = []
        self._stop_listening = listen(run.id, self.hear)
        if frequency > 0:
            self._work.append(backstage.spawn(_beat(run, flow_name, emit, frequency)))
        lease = None if run.state is None else run.state.state_details.deployment_concurrency_lease_id
        if lease is not None:
            self._work.append(backstage.spawn(_hold(api, lease)))
        if self._in_main:
            self._handle_sigterm()

    def hear(self, event: str, occurred: datetime) -> None:
        """Somebody cancelled or suspended the run: end its code. From any thread."""
        if self.cancelled or self.suspended or (self._since is not None and occurred <= self._since):
            return
        if event == CANCELLING:
            self.cancelled = True
        else:
            self.suspended = True
        self._interrupt()

    def end(self) -> None:
        self._stop_listening()
        for work in self._work:
            work.cancel()
        if not self._in_main:
            return
        if self._loop is not None and self._task is not None:
            _ignore_sigterm(self._loop, self._task)
        else:
            signal.signal(signal.SIGTERM, self._handler or signal.SIG_DFL)

    def _interrupt(self) -> None:
        if self._loop is not None and self._task is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)
        elif self._in_main:
            # A real signal, because that also ends waits inside of system calls.
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            interrupt_thread(self._thread, TerminationSignal)

    def _handle_sigterm(self) -> None:
        if self._loop is not None and self._task is not None:
            _cancel_at_sigterm(self._loop, self._task)
        else:
            self._handler = signal.signal(signal.SIGTERM, _terminate)


# The tasks of each loop that execute flow runs, subflows included: SIGTERM ends all of them.
_executing: dict[asyncio.AbstractEventLoop, list[asyncio.Task[Any]]] = {}


def _cancel_at_sigterm(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
    tasks = _executing.setdefault(loop, [])
    tasks.append(task)
    if len(tasks) == 1:
        loop.add_signal_handler(signal.SIGTERM, lambda: [each.cancel() for each in set(tasks)])


def _ignore_sigterm(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
    tasks = _executing.get(loop, [])
    if task in tasks:
        tasks.remove(task)
    if not tasks and _executing.pop(loop, None) is not None:
        loop.remove_signal_handler(signal.SIGTERM)


def _terminate(number: int, _: FrameType | None) -> None:
    raise TerminationSignal(number)


def _loop_here() -> tuple[asyncio.AbstractEventLoop | None, asyncio.Task[Any] | None]:
    try:
        return asyncio.get_running_loop(), asyncio.current_task()
    except RuntimeError:
        return None, None


async def _beat(run: FlowRun, flow_name: str, emit: Callable[[dict[str, Any]], None], frequency: float) -> None:
    related = surroundings_of(run, flow_name)
    while True:
        emit(
            {
                "occurred": iso(now()),
                "event": "prefect.flow-run.heartbeat",
                "resource": {
                    "prefect.resource.id": f"prefect.flow-run.{run.id}",
                    "prefect.resource.name": run.name,
                    "prefect.version": __version__,
                },
                "related": related,
                "payload": {},
                "id": str(new_id()),
                "follows": None,
            }
        )
        await asyncio.sleep(frequency)


async def _hold(api: ClientOrchestrator, lease_id: UUID) -> None:
    """Renew the deployment's slot, at once and well before it runs out. A lost slot is the server's to judge."""
    path = f"/v2/concurrency_limits/leases/{lease_id}/renew"
    while True:
        try:
            await api.call("POST", path, {"lease_duration": _DEPLOYMENT_LEASE})
        except Exception:
            return
        await asyncio.sleep(_DEPLOYMENT_LEASE * 0.75)
