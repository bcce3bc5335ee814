"""Real processes for tests: own process group, output in a file, nothing survives the session."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil  # type: ignore[import-untyped, unused-ignore]

from tests.support.wait import eventually

MARKER = "SEMPRE_TEST_SESSION"
"""Every descendant inherits this variable; the reaper finds by it also those that left their group."""

_session: str | None = None


def session_id() -> str:
    """The mark of this test session; on first use starts the reaper that outlives us if we are killed."""
    global _session
    if _session is None:
        _session = uuid.uuid4().hex
        # Embedded Postgres servers started inside this process inherit the mark too.
        os.environ[MARKER] = _session
        environment = {key: value for key, value in os.environ.items() if key != MARKER}
        # The reaper blocks on our end of this pipe and so wakes even after a kill -9 of ours.
        reaper = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("reaper.py")), _session],
            stdin=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        atexit.register(_end_reaper, reaper)
    return _session


def _end_reaper(reaper: subprocess.Popen[bytes]) -> None:
    if reaper.stdin:
        reaper.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        reaper.wait(20)


class ManagedProcess:
    """A started process and its descendants. `log` is the file with its stdout and stderr together."""

    def __init__(self, name: str, popen: subprocess.Popen[bytes], log: Path, log_start: int) -> None:
        self.name = name
        self.popen = popen
        self.log = log
        self._log_start = log_start

    @classmethod
    def start(
        cls,
        name: str,
        argv: Sequence[str | Path],
        *,
        log_dir: Path,
        env: Mapping[str, str],
        cwd: Path | None = None,
    ) -> ManagedProcess:
        """Start `argv` with exactly `env` (plus the session's mark), output appended to `log_dir/name.log`."""
        log = log_dir / f"{name}.log"
        with log.open("ab") as output:
            start = output.tell()
            popen = subprocess.Popen(
                [str(part) for part in argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**env, MARKER: session_id()},
                cwd=cwd,
                start_new_session=True,
            )
        return cls(name, popen, log, start)

    @property
    def pid(self) -> int:
        return self.popen.pid

    def running(self) -> bool:
        return self.popen.poll() is None

    def output(self) -> str:
        """What it has written since its start."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def tail(self, lines: int = 40) -> str:
        return f"--- {self.name} ({self.log}) ---\n" + "\n".join(self.output().splitlines()[-lines:])

    def wait_for(self, predicate: Callable[[], object], description: str, timeout: float = 60.0) -> None:
        """Wait until `predicate` holds; fails at once, with the output, if the process ends before."""

        def check() -> bool:
            if predicate():
                return True
            if not self.running():
                raise RuntimeError(
                    f"{self.name} ended with {self.popen.returncode} before: {description}\n{self.tail()}"
                )
            return False

        eventually(check, f"{self.name}: {description}", timeout, detail=self.tail)

    def wait_for_output(self, text: str, timeout: float = 60.0) -> None:
        self.wait_for(lambda: text in self.output(), f"prints {text!r}", timeout)

    def wait(self, timeout: float) -> int:
        """Wait for its end; returns the exit code. Raises AssertionError with the output on timeout."""
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {timeout:g} s\n{self.tail(80)}") from None

    def signal(self, number: int) -> None:
        """To the process alone, as an operator or a container runtime does."""
        if self.running():
            self.popen.send_signal(number)

    def signal_group(self, number: int) -> None:
        """To the process and its children: as a terminal does, or as a machine that dies."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def pause(self) -> None:
        """SIGSTOP the whole group: alive for the kernel, dead for everybody who waits for it."""
        self.signal_group(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal_group(signal.SIGCONT)

    def interrupt(self, timeout: float = 60.0) -> int:
        """SIGINT as Ctrl-C, and wait for the end."""
        self.signal(signal.SIGINT)
        return self.wait(timeout)

    def kill(self) -> None:
        """kill -9 of the whole group."""
        self.signal_group(signal.SIGKILL)
        self.popen.wait(10)

    def terminate(self, timeout: float = 20.0) -> int:
        """SIGTERM, wait, and if it does not end in time kill -9 of the group; returns the exit code."""
        self.resume()
        self.signal(signal.SIGTERM)
        try:
            self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
        # Children that ignored the end of their parent.
        self.signal_group(signal.SIGKILL)
        return self.popen.wait(10)

    def cpu_seconds(self) -> float:
        return tree_cpu_seconds(self.pid)


def tree_cpu_seconds(pid: int) -> float:
    """User and system CPU of a process, its living descendants and the children it has already reaped."""
    try:
        root = psutil.Process(pid)
        members = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    total = 0.0
    for member in members:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            times = member.cpu_times()
            total += times.user + times.system
            total += getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return total
