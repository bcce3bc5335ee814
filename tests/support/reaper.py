"""Ends every process that carries a test session's mark, as soon as the session is gone.

Run as a script with the mark as argument. Standard input is a pipe held by the session: it reaches its end when the
session ends in whatever way, a kill -9 included.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys

import psutil  # type: ignore[import-untyped, unused-ignore]


def marked(session: str) -> list[psutil.Process]:
    """Processes, started by this user, that inherited the mark of the session."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get("SEMPRE_TEST_SESSION") == session:
                found.append(process)
    return found


def reap(session: str) -> None:
    """SIGTERM first: a database server removes its shared memory only when it may end by itself."""
    remaining = marked(session)
    for process in remaining:
        with contextlib.suppress(psutil.Error):
            process.resume()
            process.terminate()
    psutil.wait_procs(remaining, timeout=4)
    for process in marked(session):
        with contextlib.suppress(psutil.Error):
            process.kill()


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(0, 1024):
        pass
    reap(sys.argv[1])


if __name__ == "__main__":
    main()
