"""Processes in the background: pid files, starting, stopping."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_POLL_SECONDS = 0.05


class BackgroundError(RuntimeError):
    """A background process could not be started. The message ends with what it wrote."""


@dataclass(frozen=True)
class BackgroundProcess:
    """At most one process of a kind per home: `<home>/<kind>.pid` (readable by its owner only) and `<kind>.log`."""

    home: Path
    kind: str

    @property
    def pid_file(self) -> Path:
        return self.home / f"{self.kind}.pid"

    @property
    def log_file(self) -> Path:
        return self.home / f"{self.kind}.log"

    def pid(self) -> int | None:
        """The pid of the running process; None when there is none, also when its file was left by a killed one."""
        try:
            pid = int(self.pid_file.read_text().strip())
        except (OSError, ValueError):
            return None
        return pid if _is_ours(pid) else None

    def start(self, arguments: Sequence[str], ready: Callable[[], bool], timeout: float) -> int:
        """Start `python -m sempre ARGUMENTS` detached and wait until `ready`; returns its pid.

        Raises BackgroundError when one runs already, when it ends early, or when it is not ready in `timeout` seconds
        (it is stopped then).
        """
        with self._locked():
            if (running := self.pid()) is not None:
                raise BackgroundError(
                    f"A {self.kind} process runs in the background already (pid {running}); stop it first"
                )
            log = os.open(self.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            offset = os.fstat(log).st_size
            try:
                process = subprocess.Popen(  # noqa: S603
                    [sys.executable, "-m", "sempre", *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            finally:
                os.close(log)
            _write_private(self.pid_file, f"{process.pid}\n")
            self._wait_ready(process, ready, timeout, offset)
            process.returncode = 0  # it is on its own from here: nobody waits for it, and that is no leak
            return process.pid

    def _wait_ready(
        self, process: subprocess.Popen[bytes], ready: Callable[[], bool], timeout: float, offset: int
    ) -> None:
        deadline = time.monotonic() + timeout
        while not ready():
            code = process.poll()
            if code is None and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
                continue
            if code is None:
                process.terminate()
                process.wait()
            self.pid_file.unlink(missing_ok=True)
            what = f"ended with {code}" if code is not None else f"was not ready after {timeout:g} s"
            raise BackgroundError(f"The {self.kind} process {what}. {self.log_file} ends with:\n{self.tail(offset)}")

    def tail(self, offset: int = 0, lines: int = 15) -> str:
        """The last lines of the log after `offset`."""
        try:
            written = self.log_file.read_bytes()[offset:].decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(written.splitlines()[-lines:])

    def stop(self, timeout: float) -> bool | None:
        """SIGTERM, and wait. True: stopped. False: still stopping after `timeout`. None: nothing was running."""
        pid = self.pid()
        if pid is None:
            self.pid_file.unlink(missing_ok=True)
            return None
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + timeout
        while _is_ours(pid):
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        self.pid_file.unlink(missing_ok=True)
        return True

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.home.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.home / f"{self.kind}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text)


def _is_ours(pid: int) -> bool:
    """Whether a process with this pid lives and is one of ours: pids are given out again."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return False
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z" and b"sempre" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return not Path("/proc/self").exists()
