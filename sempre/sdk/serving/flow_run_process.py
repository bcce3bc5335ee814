"""Processes of flow runs, started by a warm parent and found again by who comes after."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from sempre.sdk.serving.claim_folder import ClaimFolder, ProcessNote, identity_of
from sempre.sdk.serving.launcher import needs_own_interpreter

__all__ = ["FlowRunProcess", "LauncherLost", "ProcessError", "ProcessRequest", "Processes"]

_ANSWER_SECONDS = 120.0
_POLL_SECONDS = 0.2
_EXIT_PAUSES = (0.0, 0.005, 0.02, 0.05, 0.1)
_EXIT_SECONDS = 30.0
# In the place of `-m`, which would look for the code of flows in our own working directory.
_PROGRAM = "import sys; from sempre.sdk.serving.launcher import main; sys.exit(main(int(sys.argv[1])))"


class ProcessError(Exception):
    """A process could not be started; none runs. The text says why."""


class LauncherLost(ProcessError):
    """The warm parent ended. Nothing runs, and nothing is wrong with the run: it can be started anew."""


@dataclass(frozen=True, kw_only=True)
class ProcessRequest:
    """What to start. `folder` is that of the claim, `env` the whole environment; without a `command` the run is
    executed by this release."""

    flow_run_id: UUID
    folder: ClaimFolder
    env: Mapping[str, str]
    working_dir: Path
    command: Sequence[str] | None = None
    stream_output: bool = True


class FlowRunProcess:
    """A process that executes, or executed, the flow run of a claim."""

    def __init__(self, folder: ClaimFolder, note: ProcessNote) -> None:
        assert note.pid is not None
        self.folder = folder
        self.pid = note.pid
        self._note = note

    @classmethod
    def found(cls, folder: ClaimFolder) -> FlowRunProcess | None:
        """The one that was started for a claim; None if none was, and from now on none will be."""
        folder.shut()
        note = folder.process()
        return None if note is None or note.pid is None else cls(folder, note)

    async def wait(self) -> int | None:
        """Its exit code (negative: the signal that ended it) once it has ended; None if nobody knows."""
        await self._ended()
        waited = 0.0
        for attempt in range(10_000):
            code = self.folder.exit_code()
            if code is not None:
                return code
            # Its parent notes it within a moment; one that is gone as well never will.
            if waited >= _EXIT_SECONDS or (attempt > len(_EXIT_PAUSES) and not self._note.parent_lives()):
                break
            pause = _EXIT_PAUSES[min(attempt, len(_EXIT_PAUSES) - 1)]
            await asyncio.sleep(pause)
            waited += pause
        return None

    async def kill(self, grace: float) -> None:
        """SIGTERM to its group, SIGKILL after `grace` seconds; returns when it has ended."""
        if grace > 0:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended(), grace)
        self._signal(signal.SIGKILL)
        await self._ended()

    def _signal(self, number: signal.Signals) -> None:
        if self._note.lives():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    async def _ended(self) -> None:
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        except (AttributeError, OSError):  # an older system
            while self._note.lives():  # noqa: ASYNC110
                await asyncio.sleep(_POLL_SECONDS)
            return
        try:
            if self._note.lives():  # and so the descriptor is its own
                await _readable(descriptor)
        finally:
            os.close(descriptor)


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def tell() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(descriptor, tell)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)


class Processes:
    """Starts processes of flow runs. The warm parent comes with the first start, or with `warm_up`; it is replaced when
    it dies."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._parent: _Parent | None = None

    async def warm_up(self) -> None:
        """Have the parent get ready, without waiting for it."""
        async with self._turn:
            await self._alive()

    async def start(self, request: ProcessRequest) -> FlowRunProcess:
        """Raises ProcessError."""
        command = _command(request)
        _check(request, command)
        order = {
            "flow_run_id": str(request.flow_run_id),
            "folder": str(request.folder.path),
            "env": dict(request.env),
            "working_dir": str(request.working_dir),
            "command": command,
            "stream_output": request.stream_output,
        }
        async with self._turn:
            parent = await self._alive()
            try:
                pid = await parent.ask(order)
            except (OSError, EOFError, TimeoutError, ValueError) as error:
                self._parent = None
                await parent.close()
                process = FlowRunProcess.found(request.folder)
                if process is None:
                    raise LauncherLost(f"The parent of flow run processes ended: {error!r}") from error
                return process
            except BaseException:  # its answer would be taken for that to the next order
                self._parent = None
                await parent.close()
                raise
        note = ProcessNote(
            pid=pid, identity=identity_of(pid), parent_pid=parent.pid, parent_identity=identity_of(parent.pid)
        )
        return FlowRunProcess(request.folder, note)

    async def close(self) -> None:
        """Processes go on."""
        if self._parent is not None:
            parent, self._parent = self._parent, None
            await parent.close()

    async def _alive(self) -> _Parent:
        if self._parent is not None and self._parent.is_gone():
            await self._parent.close()
            self._parent = None
        if self._parent is None:
            self._parent = await _Parent.started()
        return self._parent


class _Parent:
    """The running launcher, seen from here."""

    def __init__(self, pid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.pid = pid
        self._reader = reader
        self._writer = writer

    @classmethod
    async def started(cls) -> _Parent:
        ours, theirs = socket.socketpair()
        with theirs:
            theirs.set_inheritable(True)
            # No object keeps watch over it: it ends by itself, and later than we do if need be.
            pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-c", _PROGRAM, str(theirs.fileno())],
                os.environ,
                file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)],
            )
        reader, writer = await asyncio.open_connection(sock=ours)
        return cls(pid, reader, writer)

    def is_gone(self) -> bool:
        try:
            return os.waitpid(self.pid, os.WNOHANG)[0] == self.pid
        except ChildProcessError:
            return True

    async def ask(self, order: Mapping[str, object]) -> int:
        self._writer.write(json.dumps(order).encode() + b"\n")
        await self._writer.drain()
        line = await asyncio.wait_for(self._reader.readline(), _ANSWER_SECONDS)
        if not line:
            raise EOFError("it hung up")
        return int(json.loads(line)["pid"])

    async def close(self) -> None:
        """It goes on until its last child has ended."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


def _command(request: ProcessRequest) -> list[str] | None:
    """None: the engine, in a copy of the warm parent."""
    if request.command:
        return list(request.command)
    if needs_own_interpreter(request.env, os.environ):
        return [sys.executable, "-m", "sempre.sdk.execute", str(request.flow_run_id)]
    return None


def _check(request: ProcessRequest, command: list[str] | None) -> None:
    if not request.working_dir.is_dir():
        raise ProcessError(f"There is no directory {request.working_dir}.")
    if command and shutil.which(command[0], path=request.env.get("PATH")) is None:
        raise ProcessError(f"There is no command {command[0]!r}.")
