"""TCP links that can be partitioned: every process of the stage reaches Postgres and Redis over links of its own.

The links live in a process of their own, so that neither the load nor the tests slow them down; `Network` steers it
over a pipe. A link is `open`; `silent`: packets wait, as between machines that lost each other, and arrive late when
it opens again; or `closed`: connections are reset and new ones refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import cast

from tests.support.net import LOOPBACK
from tests.support.prefect_env import ROOT
from tests.support.processes import MARKER, session_id

Address = tuple[str, int]
_ANSWER_SECONDS = 15.0


class Link:
    """One link as its owner sees it. `port` is what the process is told to connect to."""

    def __init__(self, network: Network, name: str, port: int) -> None:
        self._network = network
        self.name = name
        self.port = port

    def open(self) -> None:
        self._network.tell(self.name, "open")

    def silence(self) -> None:
        """Swallow everything; nobody is told. What was on its way arrives when the link opens again."""
        self._network.tell(self.name, "silent")

    def close(self) -> None:
        """Reset what is connected and refuse new connections."""
        self._network.tell(self.name, "closed")

    def cut(self) -> None:
        """Reset what is connected; new connections are served."""
        self._network.tell(self.name, "cut")

    def aim(self, port: int) -> None:
        """Where connections go from now on."""
        self._network.tell(self.name, "aim", str(port))


class Network:
    """All links of a stage. Safe to use from several threads."""

    def __init__(self, workdir: Path) -> None:
        self._lock = threading.Lock()
        self._log = (workdir / "network.log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.links"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={"PYTHONPATH": str(ROOT), MARKER: session_id()},
            text=True,
            start_new_session=True,
        )

    def link(self, name: str, port: int) -> Link:
        """A new link to a port of this machine."""
        return Link(self, name, int(self.tell(name, "new", str(port))))

    def tell(self, *words: str) -> str:
        """One command and its answer. AssertionError if the process is gone or refuses."""
        assert self._process.stdin
        assert self._process.stdout
        with self._lock:
            self._process.stdin.write(json.dumps(words) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        assert answer, f"the network ended with {self._process.poll()}; see {self._log.name}"
        return answer.strip()

    def stop(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        try:
            self._process.wait(_ANSWER_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_ANSWER_SECONDS)
        self._process.stdout.close()
        self._log.close()


class _Way:
    """A listening link inside the network's process."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.state = "open"
        self.port = 0
        self.ends: set[_End] = set()
        self.opened = asyncio.Event()
        self.opened.set()
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Near(self), LOOPBACK, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def become(self, state: str) -> None:
        if state == "closed" and self._server:
            self._server.close()
            self._server = None
        if state in ("closed", "cut"):
            for end in list(self.ends):
                end.abort()
        if state != "closed" and self._server is None:
            await self.listen()
        self.state = "open" if state == "cut" else state
        if self.state == "silent":
            self.opened.clear()
        else:
            self.opened.set()
        for end in list(self.ends):
            end.govern()


class _End(asyncio.Protocol):
    """One side of a connection; what it reads its peer writes, while the way is open and the peer has room."""

    def __init__(self, way: _Way) -> None:
        self.way = way
        self.peer: _End | None = None
        self.room = True
        self.transport: asyncio.Transport | None = None
        self._paused = False
        self._held: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.way.ends.add(self)
        self.govern()

    def govern(self) -> None:
        """Read or not, as the way and the peer have it."""
        if self.transport is None or self.transport.is_closing():
            return
        wanted = self._waits() or (self.peer is not None and not self.peer.room)
        if not self._waits():
            self._let_go()
        if wanted and not self._paused:
            self.transport.pause_reading()
        elif self._paused and not wanted:
            self.transport.resume_reading()
        self._paused = wanted

    def _waits(self) -> bool:
        return self.peer is None or not self.way.opened.is_set()

    def _let_go(self) -> None:
        held, self._held = self._held, []
        for data in held:
            self.data_received(data)

    def data_received(self, data: bytes) -> None:
        # A transport that has just been made reads once although it was told to pause.
        if self._waits():
            self._held.append(data)
            self._paused = False
            self.govern()
            return
        assert self.peer
        assert self.peer.transport
        self.peer.transport.write(data)

    def eof_received(self) -> bool:
        if self.peer and self.peer.transport and not self.peer.transport.is_closing():
            with contextlib.suppress(OSError):
                self.peer.transport.write_eof()
            return True
        return False

    def pause_writing(self) -> None:
        self.room = False
        if self.peer:
            self.peer.govern()

    def resume_writing(self) -> None:
        self.room = True
        if self.peer:
            self.peer.govern()

    def connection_lost(self, exc: Exception | None) -> None:
        self.way.ends.discard(self)
        if self.peer and self.peer.transport:
            if exc:
                self.peer.transport.abort()
            else:
                self.peer.transport.close()

    def abort(self) -> None:
        if self.transport:
            self.transport.abort()


class _Near(_End):
    """The side that connected to us: nothing is read from it before the other side is there."""

    def __init__(self, way: _Way) -> None:
        super().__init__(way)
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        await self.way.opened.wait()
        loop = asyncio.get_running_loop()
        try:
            _, far = await loop.create_connection(lambda: _End(self.way), LOOPBACK, self.way.target)
        except OSError:
            self.abort()
            return
        if self.transport is None or self.transport.is_closing():
            far.abort()
            return
        far.peer, self.peer = self, far
        self.govern()
        far.govern()


class _Steering:
    """Reads commands, one JSON list per line, and answers each with one line."""

    def __init__(self) -> None:
        self._ways: dict[str, _Way] = {}

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            print(await self._obey(*json.loads(line)), flush=True)

    async def _obey(self, name: str, what: str, *more: str) -> str:
        if what == "new":
            way = self._ways[name] = _Way(int(more[0]))
            await way.listen()
            return str(way.port)
        way = self._ways[name]
        if what == "aim":
            way.target = int(more[0])
        else:
            await way.become(what)
        return way.state


def main() -> None:
    runner = asyncio.Runner()
    with contextlib.suppress(ImportError):
        import uvloop

        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    with runner:
        runner.run(_Steering().run())


if __name__ == "__main__":
    main()
