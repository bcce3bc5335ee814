"""The server, the worker, and waiting for what they do."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import httpx

from examples.demo.api import Api
from examples.demo.errors import DemoError
from examples.demo.players import ROOT, Players
from examples.demo.processes import LOOPBACK, POLL_SECONDS, Process, Workplace, free_port
from examples.demo.show import Show

START_TIMEOUT = 60.0
STOP_TIMEOUT = 15.0

T = TypeVar("T")


class Stage:
    """Everything runs on one port of the loopback address, with homes under the workplace."""

    def __init__(self, show: Show, place: Workplace, players: Players) -> None:
        self.show = show
        self.place = place
        self.port = free_port()
        self.api = Api(f"http://{LOOPBACK}:{self.port}/api")
        self.server: Process | None = None
        self.worker: Process | None = None
        self.players = players
        self._code = players.code(place.root)

    def _environment(self, **own: str) -> dict[str, str]:
        """The caller's environment without settings that would lead elsewhere."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "SEMPRE_"))}
        return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **own}

    def start_server(self) -> None:
        """Start the server, which brings its own Postgres, and wait until it can be used."""
        argv = [sys.executable, "-m", "sempre", "server", "start", "--host", LOOPBACK, "--port", str(self.port)]
        environment = self._environment(SEMPRE_HOME=str(self.place.server_home))
        self.server = Process(self.place, "server", argv, environment)
        self.until("the server starts", self.api.ready, START_TIMEOUT)

    def kill_server(self) -> int:
        """kill -9; returns the pid it had."""
        if self.server is None:
            raise DemoError("There is no server to kill")
        server, self.server = self.server, None
        server.kill()
        return server.pid

    def start_client(self, name: str, *arguments: str) -> Process:
        """Start `python -m ARGUMENTS` in the players' environment, pointed at our server, told not to call home."""
        product = self.players.package.upper()
        own = {"API_URL": self.api.url, "HOME": str(self.place.client_home), "WORKER_QUERY_SECONDS": "1"}
        environment = self._environment(
            **{f"{product}_{key}": value for key, value in own.items()},
            PREFECT_SERVER_ANALYTICS_ENABLED="false",
            DO_NOT_TRACK="1",
            PREFECT_CLI_COLORS="false",
        )
        environment["PYTHONPATH"] = str(self._code)
        return Process(self.place, name, [self.players.python, "-m", *arguments], environment)

    def run_client(self, what: str, name: str, *arguments: str) -> None:
        """Run a command of the client to its end. Raises DemoError unless it exits with 0."""
        process = self.start_client(name, *arguments)
        try:
            self.until(what, lambda: process.code is not None, START_TIMEOUT, logs=(process.log,))
        finally:
            code = process.code
            process.stop(timeout=1)
        if code != 0:
            raise DemoError(f"{name} ended with {code}: {what}", process.log, *self.logs)

    @property
    def processes(self) -> list[Process]:
        """In the order they are stopped: the worker reports to the server."""
        return [process for process in (self.worker, self.server) if process]

    @property
    def logs(self) -> list[Path]:
        return [process.log for process in self.processes]

    def stop(self) -> None:
        """Stop what runs."""
        for process in self.processes:
            process.stop(STOP_TIMEOUT)
        self.api.close()

    def until(
        self,
        what: str,
        predicate: Callable[[], T],
        timeout: float,
        progress: Callable[[], str] = str,
        logs: tuple[Path, ...] = (),
    ) -> T:
        """Wait until `predicate` gives something true and return that.

        Raises DemoError after `timeout` seconds, or at once when the server or the worker ends.
        """
        deadline = time.monotonic() + timeout
        last = ""
        with self.show.waiting(f"{what} ...") as status:
            while True:
                try:
                    if found := predicate():
                        return found
                    last = progress()
                except httpx.TransportError as error:
                    # A server that ended is reported below; one that is slow has until the deadline.
                    last = f"no answer: {error}"
                status.update(f"{what} ... {last}")
                self.check_alive(f"while waiting until {what}")
                if time.monotonic() > deadline:
                    raise DemoError(f"After {timeout:g} s still not: {what}. {last}", *logs, *self.logs)
                time.sleep(POLL_SECONDS)

    def check_alive(self, when: str) -> None:
        """Raises DemoError when the server or the worker has ended by itself."""
        for process in self.processes:
            if process.code is not None:
                raise DemoError(f"The {process.name} ended with {process.code} {when}", *self.logs)
