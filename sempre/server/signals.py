"""Stop signals, and the deadline that holds whoever was asked to stop to it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

logger = logging.getLogger("sempre.server.process")

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_ONE_REQUEST_SECONDS = 0.5


@contextlib.contextmanager
def handling_signals(handler: Callable[[], None]) -> Iterator[None]:
    """Call `handler` when a stop signal asks to, unless this process ignores it (children of a supervisor: SIGINT).

    Service managers signal every process of a group, and our supervisor passes its signal on besides: what comes in
    one moment is one request to stop, and must not be taken for the impatience of a second one.
    """
    loop = asyncio.get_running_loop()
    last = -math.inf

    def asked() -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _ONE_REQUEST_SECONDS:
            last = now
            handler()

    handled = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    for number in handled:
        loop.add_signal_handler(number, asked)
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)


def end_within(seconds: float, why: str) -> threading.Timer:
    """End this process with 1 in `seconds` unless the timer is cancelled, whatever the event loop is doing then."""

    def end() -> None:
        logger.critical("not stopped after %g s (%s): ending without waiting any longer", seconds, why)
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    return timer


def stop_with_parent(parent_ended: Callable[[], object]) -> None:
    """End this process in order when `parent_ended` returns, which blocks until the parent is gone."""

    def follow() -> None:
        parent_ended()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=follow, name="follow-parent", daemon=True).start()
