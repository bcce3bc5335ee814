"""The demo's processes and its directory: nothing it starts stays behind."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from examples.demo.errors import DemoError

POLL_SECONDS = 0.1
LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """A port of the loopback address nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


class Workplace:
    """`.demo`: logs, results and the homes of server and client. Made new by each demo, kept after it."""

    def __init__(self, root: Path, lock: int) -> None:
        self.root = root
        self.lock = lock
        self.logs = root / "logs"
        self.results = root / "results"
        self.server_home = root / "server"
        self.client_home = root / "client"

    @classmethod
    @contextlib.contextmanager
    def claimed(cls, root: Path) -> Iterator[Workplace]:
        """An empty workplace that no other demo uses meanwhile. Raises DemoError when one does."""
        root.mkdir(parents=True, exist_ok=True)
        # The processes of the demo inherit the lock: it is held as long as one of them lives, also when a demo was
        # killed and could not stop them.
        lock = os.open(root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DemoError(
                    f"Another demo runs in {root}, or one that was killed left processes behind; their numbers are in "
                    f"{root}/*.pid"
                ) from None
            place = cls(root, lock)
            place._empty()
            yield place
        finally:
            os.close(lock)

    def _empty(self) -> None:
        _end_orphaned_postgres(self.server_home)
        for path in self.root.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != "lock":
                path.unlink()
        for path in (self.logs, self.results, self.server_home, self.client_home):
            path.mkdir()


def _end_orphaned_postgres(home: Path) -> None:
    """Stop the embedded Postgres of an earlier demo whose server was killed: its files are about to go."""
    for file in home.rglob("postmaster.pid"):
        pid = int(file.read_text().split()[0])
        command = subprocess.run(
            ["ps", "-p", str(pid), "-o", "command="], capture_output=True, text=True, check=False
        ).stdout
        if str(home) not in command:
            continue  # a number that was given out again
        os.kill(pid, signal.SIGINT)
        deadline = time.monotonic() + 20
        while file.exists() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)


class Process:
    """A program in a process group of its own; its output goes to `<logs>/<name>.log`."""

    def __init__(self, place: Workplace, name: str, argv: Sequence[str | Path], env: Mapping[str, str]) -> None:
        self.name = name
        self.log = place.logs / f"{name}.log"
        self._pid_file = place.root / f"{name}.pid"
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                [str(part) for part in argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(env),
                start_new_session=True,  # Ctrl-C is for the demo, which then stops the others in order
                pass_fds=(place.lock,),
            )
        self._pid_file.write_text(f"{self.pid}\n")

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def code(self) -> int | None:
        """The exit code, None while it runs."""
        return self._popen.poll()

    def kill(self) -> None:
        """kill -9 of the process alone."""
        self._popen.kill()
        self._popen.wait()
        self._pid_file.unlink(missing_ok=True)

    def stop(self, timeout: float) -> None:
        """Ask it to end; after `timeout` seconds end it and what is left of its group."""
        if self.code is None:
            self._popen.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(timeout)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()
        self._pid_file.unlink(missing_ok=True)
