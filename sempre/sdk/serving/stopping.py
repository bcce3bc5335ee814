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
def heeding_signals(stop: Callable[[], None], kill: Callable[[], None], *, last: bool = False) -> Iterator[None]:
    """Call `stop` at the first SIGTERM or SIGINT and `kill` at the next ones, in the running loop. Outside of the main
    thread nothing is heeded.

    What comes in one moment is one request: service managers signal all processes of a group, and pass it on besides.
    After the block signals are what they were before it; with `last` the process ends after it anyway, and they are
    ignored.
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

    # Not handlers of the loop: where those end there is a moment in which a signal ends the process.
    before = {
        number: signal.signal(number, lambda *_: loop.call_soon_threadsafe(asked))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if last else handler or signal.SIG_DFL)
