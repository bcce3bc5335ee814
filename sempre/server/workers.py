"""Several API processes on one socket, and one process with the services, under a supervisor that replaces the dead."""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.connection
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import Any

from sempre.server.process import (
    LAST_SECONDS,
    STARTUP_FAILED,
    configure_logging,
    serve_api,
    serve_services,
)
from sempre.server.settings import Settings
from sempre.server.signals import stop_with_parent

logger = logging.getLogger("sempre.server.workers")

_context = multiprocessing.get_context("spawn")

# A child that lived shorter than this did not come up properly; this many of them in a row end the supervisor.
_SHORT_LIFE_SECONDS = 10.0
_SHORT_LIVES_ALLOWED = 5
_LONGEST_BACKOFF_SECONDS = 10.0
_TICK_SECONDS = 0.5


@dataclass
class _Slot:
    """A place for one child, which is filled again when the child dies."""

    name: str
    target: Callable[..., None]
    arguments: tuple[Any, ...]
    process: SpawnProcess | None = None
    ready: Any = None
    started_at: float = 0.0
    due_at: float = 0.0
    short_lives: int = 0
    told: bool = False  # to stop

    def spawn(self) -> None:
        """Start the child now."""
        if self.ready is not None:
            self.ready.close()
        self.ready, theirs = _context.Pipe(duplex=False)
        self.process = _context.Process(target=self.target, args=(*self.arguments, theirs), name=self.name)
        self.process.start()
        theirs.close()
        self.started_at = time.monotonic()

    def has_started(self) -> bool:
        """Whether the child said that it serves."""
        try:
            return bool(self.ready is not None and self.ready.poll() and self.ready.recv())
        except (EOFError, OSError):
            return False


@dataclass
class Supervisor:
    """`workers` API processes and, with `services`, one process of services. `settings` must name a database."""

    settings: Settings
    listener: socket.socket
    workers: int
    services: bool
    on_started: Callable[[], None] | None = None
    _slots: list[_Slot] = field(default_factory=list)
    _signals: int = 0

    def run(self) -> int:
        """Run until a signal; returns the exit code. 3 when the children do not come up."""
        previous = {number: signal.signal(number, self._signalled) for number in (signal.SIGTERM, signal.SIGINT)}
        self._slots = [
            _Slot(f"sempre-api-{index}", _api_child, (self.settings, self.listener)) for index in range(self.workers)
        ]
        if self.services:
            self._slots.append(_Slot("sempre-services", _services_child, (self.settings,)))
        try:
            for slot in self._slots:
                slot.spawn()
            return self._supervise()
        finally:
            self._stop()
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
        for slot in self._slots:
            if slot.process is not None and slot.process.is_alive():
                slot.told = True
                slot.process.terminate() if self._signals < 3 else slot.process.kill()

    def _supervise(self) -> int:
        waiting = list(self._slots)
        while not self._signals:
            sentinels = [slot.process.sentinel for slot in self._slots if slot.process is not None]
            pipes = [slot.ready for slot in waiting if slot.process is not None]
            multiprocessing.connection.wait([*sentinels, *pipes], timeout=_TICK_SECONDS)
            if waiting:
                waiting = [slot for slot in waiting if not slot.has_started()]
                if not waiting and self.on_started:
                    self.on_started()
            for slot in self._slots:
                if not self._replace(slot, first_start=bool(waiting)):
                    return STARTUP_FAILED
        return 0

    def _replace(self, slot: _Slot, *, first_start: bool) -> bool:
        """Refill a slot whose child died, after a pause that grows. False when it is time to give up."""
        now = time.monotonic()
        if slot.process is not None and not slot.process.is_alive() and not self._signals:
            code = slot.process.exitcode
            short = now - slot.started_at < _SHORT_LIFE_SECONDS
            slot.short_lives = slot.short_lives + 1 if short else 0
            logger.error("%s (pid %s) ended with %s", slot.name, slot.process.pid, code)
            slot.process.close()
            slot.process = None
            if (first_start and code == STARTUP_FAILED) or slot.short_lives >= _SHORT_LIVES_ALLOWED:
                logger.error(
                    "%s does not come up: it ended with %s, %d times in a row within %g s of its start. Giving up; "
                    "what it logged above says why, and `sempre server start` without --workers says the same alone",
                    slot.name,
                    code,
                    max(slot.short_lives, 1),
                    _SHORT_LIFE_SECONDS,
                )
                return False
            pause = min(0.25 * 2**slot.short_lives, _LONGEST_BACKOFF_SECONDS) if short else 0.0
            slot.due_at = now + pause
        if slot.process is None and now >= slot.due_at and not self._signals:
            slot.spawn()
        return True

    def _stop(self) -> None:
        """End every child: ask, wait as long as it may drain, then insist."""
        alive = []
        for slot in self._slots:
            if slot.process is not None and slot.process.is_alive():
                alive.append(slot.process)
                if not slot.told:  # a signal comes in the middle of things, also of starting a child
                    slot.process.terminate()
        api, services = self.settings.api, self.settings.services
        patience = max(api.shutdown_drain_seconds + api.shutdown_grace_seconds, services.drain_seconds) + LAST_SECONDS
        deadline = time.monotonic() + patience
        for process in alive:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                logger.error("%s does not stop; killing it", process.name)
                process.kill()
                process.join()


def _enter_child(settings: Settings) -> None:
    # A terminal sends Ctrl-C to the whole group; the supervisor alone decides and passes it on as one SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    configure_logging(settings)
    parent = multiprocessing.parent_process()
    if parent is not None:
        stop_with_parent(parent.join)


def _api_child(settings: Settings, listener: socket.socket, ready: Any) -> None:
    _enter_child(settings)
    raise SystemExit(serve_api(settings, listener, services=False, started=lambda: ready.send(True)))


def _services_child(settings: Settings, ready: Any) -> None:
    _enter_child(settings)
    raise SystemExit(serve_services(settings, started=lambda: ready.send(True)))
