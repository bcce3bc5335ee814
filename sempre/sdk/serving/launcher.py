"""The warm parent of flow run processes: it has imported the engine, and forks for every run.

It is a process of its own without threads, started by :mod:`sempre.sdk.serving.flow_run_process` and told over a socket
what to start, one line of JSON for each. It collects its children and notes how they ended. When whoever started it is
gone it stays until the last child has ended, so that their exit codes are known to who comes next.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sempre.sdk.serving.claim_folder import ClaimFolder, ProcessNote, identity_of

__all__ = ["main", "needs_own_interpreter"]

_NOT_FOUND = 127  # as shells have it
_READ = 1 << 16
# What an interpreter, or the libraries below it, read once when they start.
_AT_START = ("PYTHON", "LD_", "DYLD_", "MALLOC_", "GLIBC_", "LC_", "LANG")


def needs_own_interpreter(env: Mapping[str, str], here: Mapping[str, str]) -> bool:
    """Whether an environment says something that an interpreter which runs already (in `here`) would not heed."""
    return any(
        env.get(name) != here.get(name)
        for name in env.keys() | here.keys()
        if name.startswith(_AT_START) and name != "PYTHONPATH"
    )


def main(descriptor: int) -> int:
    """Serve the socket. Returns in the launcher when all is over, and in each child with the run's exit code."""
    os.setsid()  # it outlives whoever started it, and a terminal's signals are not for it
    _preload()
    launcher = _Launcher(socket.socket(fileno=descriptor))
    order = launcher.serve()
    return 0 if order is None else _execute(order)


def _preload() -> None:
    """Everything that executing a run imports. Nothing of it may start a thread or open a connection."""
    import sempre.client.client
    import sempre.client.shipping
    import sempre.client.stream
    import sempre.sdk.engine.backstage_world
    import sempre.sdk.execute  # noqa: F401

    gc.collect()
    gc.freeze()  # so that collections in children do not copy all pages


class _Launcher:
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._children: dict[int, ClaimFolder] = {}
        self._received = b""
        self._wake_in, self._wake_out = os.pipe()
        for end in (self._wake_in, self._wake_out):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._wake_out, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # Whoever started it decides when it is over; a terminal tells the whole group.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def serve(self) -> dict[str, Any] | None:
        """Until it is alone. In a child that is to execute a run, the order for it."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._connection, selectors.EVENT_READ, self._hear)
            selector.register(self._wake_in, selectors.EVENT_READ, self._collect)
            connected = True
            while connected or self._children:
                for key, _ in selector.select():
                    heard = key.data()
                    if heard is False:
                        selector.unregister(self._connection)
                        connected = False
                    elif isinstance(heard, dict):
                        return heard
        return None

    def _hear(self) -> dict[str, Any] | bool:
        """Do what was asked for; False when nobody is there to ask any more."""
        try:
            read = self._connection.recv(_READ)
        except ConnectionError:
            read = b""
        if not read:
            return False
        self._received += read
        *lines, self._received = self._received.split(b"\n")
        for line in lines:
            order = json.loads(line)
            passed, passing = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.close(passed)
                return self._become(order, passing)
            self._children[pid] = ClaimFolder(Path(order["folder"]))
            # Until it is a group of its own it could not be ended.
            os.close(passing)
            os.read(passed, 1)
            os.close(passed)
            try:
                self._connection.sendall(json.dumps({"pid": pid}).encode() + b"\n")
            except OSError:
                return False
        return True

    def _collect(self) -> bool:
        """Note how children ended."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_in, 4096)
        while self._children:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            folder = self._children.pop(pid, None)
            if folder is not None:
                folder.note_exit(os.waitstatus_to_exitcode(status))
        return True

    def _become(self, order: dict[str, Any], passing: int) -> dict[str, Any]:
        """In the child: from the launcher's copy to the process that was asked for. Does not return for commands."""
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        parent = os.getppid()
        self._connection.close()
        os.close(self._wake_in)
        os.close(self._wake_out)
        os.setsid()  # a group of its own: ended as a whole, and not by a terminal
        me = os.getpid()
        note = ProcessNote(pid=me, identity=identity_of(me), parent_pid=parent, parent_identity=identity_of(parent))
        if not ClaimFolder(Path(order["folder"])).enter(note):
            os._exit(0)  # the claim was given up meanwhile
        os.close(passing)
        try:
            os.chdir(order["working_dir"])
            if not order["stream_output"]:
                _be_silent()
            if order["command"]:
                signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # which Python ignores, and programs expect
                os.execvpe(order["command"][0], order["command"], order["env"])  # noqa: S606
        except OSError as error:
            sys.stderr.write(f"The process of a flow run could not begin: {error}\n")
            sys.stderr.flush()
            os._exit(_NOT_FOUND)
        return order


def _be_silent() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _execute(order: dict[str, Any]) -> int:
    """Execute the run as an interpreter would that was started with this environment in this directory."""
    from sempre.sdk.execute import main as execute
    from sempre.settings import forget_settings

    before = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ.clear()
    os.environ.update(order["env"])
    more = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path not in before]
    sys.path[:0] = [os.getcwd(), *more]
    sys.argv = ["sempre.sdk.execute", order["flow_run_id"]]
    time.tzset()
    forget_settings()
    return execute([order["flow_run_id"]])


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
