"""Ending user code that takes too long, from outside of it."""

from __future__ import annotations

import ctypes
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["interrupt_thread", "time_limit"]


@contextmanager
def time_limit(seconds: float, error: type[BaseException]) -> Iterator[None]:
    """Raise ``error`` in the calling thread, whatever it is doing, once ``seconds`` have passed.

    In the main thread that is an alarm, which also ends waits in the system. In other threads the exception is seen
    when the interpreter gets its turn there again: a wait inside of C code ends by itself first.
    """
    said = f"It took longer than {seconds} second(s)."
    if threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer"):
        with _alarm(seconds, error(said)):
            yield
    else:
        with _watchdog(seconds, error, said):
            yield


@contextmanager
def _alarm(seconds: float, error: BaseException) -> Iterator[None]:
    def ring(_: int, __: FrameType | None) -> None:
        raise error

    before = signal.signal(signal.SIGALRM, ring)
    began = time.monotonic()
    outer, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if outer:  # a limit around this one goes on; if its time has come meanwhile, it rings at once
            signal.setitimer(signal.ITIMER_REAL, max(outer - (time.monotonic() - began), 1e-6))


@contextmanager
def _watchdog(seconds: float, error: type[BaseException], said: str) -> Iterator[None]:
    thread = threading.get_ident()
    ended = threading.Lock()
    fired = threading.Event()

    def fire() -> None:
        with ended:
            if not done:
                fired.set()
                interrupt_thread(thread, error)

    done = False
    timer = threading.Timer(seconds, fire)
    timer.daemon = True
    timer.start()
    try:
        yield
    except error as raised:
        if fired.is_set() and not raised.args:
            raise error(said) from None
        raise
    finally:
        with ended:
            done = True
        timer.cancel()


def interrupt_thread(thread: int, error: type[BaseException]) -> None:
    """Have ``error`` raised in another thread the next time it executes Python code."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error))
