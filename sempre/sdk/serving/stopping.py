"""Signals of players: the first asks to stop, the second insists."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator

__all__ = ["heeding_signals"]

_ONE_REQUEST_SECONDS = 0.5


@contextlib.contextmanager
def heeding_signals(stop: Callable[[], None], kill: Callable[[], None]) -> Iterator[None]:
    """Call `stop` at the first SIGTERM or SIGINT and `kill` at the next ones, in the running loop. Outside of the main
    thread nothing is heeded.

    What comes in one moment is one request: service managers signal all processes of a group, and pass it on besides.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    times: list[float] = []

    def asked() -> None:
        now = time.monotonic()
        if times and now - times[-1] < _ONE_REQUEST_SECONDS:
            return
        times.append(now)
        stop() if len(times) == 1 else kill()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
