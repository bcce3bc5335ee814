"""The harness itself: proxy, processes, reaper. Needs neither a database nor a server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped, unused-ignore]
import pytest
from websockets.sync.client import connect
from websockets.sync.server import Server, ServerConnection, serve

from tests.support.net import LOOPBACK, free_port
from tests.support.prefect_env import ROOT
from tests.support.processes import ManagedProcess
from tests.support.proxy import RoundRobinProxy
from tests.support.wait import WaitTimeout, eventually


class Echo(BaseHTTPRequestHandler):
    """Answers with its own port and what it was sent; keeps connections alive."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length).decode()
        content = json.dumps({"port": self.connection.getsockname()[1], "path": self.path, "body": body}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def echoes() -> Iterator[list[ThreadingHTTPServer]]:
    servers = [ThreadingHTTPServer((LOOPBACK, 0), Echo) for _ in range(2)]
    for server in servers:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield servers
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def proxy(echoes: list[ThreadingHTTPServer]) -> Iterator[RoundRobinProxy]:
    front = RoundRobinProxy([(LOOPBACK, server.server_port) for server in echoes]).start()
    yield front
    front.stop()


def test_balances_requests_of_one_connection(proxy: RoundRobinProxy) -> None:
    with httpx.Client(base_url=proxy.url) as client:
        answers = [client.post(f"/{number}", content=f"body {number}").json() for number in range(6)]
    assert [answer["body"] for answer in answers] == [f"body {number}" for number in range(6)]
    assert set(Counter(answer["port"] for answer in answers).values()) == {3}


def test_a_backend_that_is_down_gets_nothing(proxy: RoundRobinProxy) -> None:
    proxy.set_up(0, False)
    with httpx.Client(base_url=proxy.url) as client:
        assert {client.get("/").json()["port"] for _ in range(4)} == {proxy.backends[1].port}
        proxy.set_up(1, False)
        refused = client.get("/")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")


def test_goes_on_when_a_backend_dies(proxy: RoundRobinProxy, echoes: list[ThreadingHTTPServer]) -> None:
    echoes[0].shutdown()
    echoes[0].server_close()
    with httpx.Client(base_url=proxy.url) as client:
        assert {client.post("/").json()["port"] for _ in range(4)} == {echoes[1].server_port}


def test_cut_resets_the_clients(proxy: RoundRobinProxy) -> None:
    with httpx.Client(base_url=proxy.url) as client:
        assert client.get("/").status_code == 200
        proxy.cut()

        def works_again() -> bool:
            try:
                return client.get("/").status_code == 200
            except httpx.TransportError:
                return False

        eventually(works_again, "a new connection after the cut")


def test_websockets_go_to_one_backend_each() -> None:
    def named(server: ServerConnection) -> None:
        for message in server:
            server.send(f"{server.local_address[1]} {message!s}")

    servers: list[Server] = [serve(named, LOOPBACK, 0) for _ in range(2)]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    front = RoundRobinProxy([(LOOPBACK, server.socket.getsockname()[1]) for server in servers]).start()
    try:
        seen = set()
        for _ in range(2):
            with connect(front.url.replace("http", "ws")) as socket:
                answers = []
                for text in ("a", "b"):
                    socket.send(text)
                    answers.append(str(socket.recv(timeout=5)).split())
            assert [answer[1] for answer in answers] == ["a", "b"]
            assert answers[0][0] == answers[1][0]
            seen.add(answers[0][0])
        assert len(seen) == 2
    finally:
        front.stop()
        for server in servers:
            server.shutdown()


def test_a_process_that_ends_early_shows_its_output(tmp_path: Path) -> None:
    code = "print('cannot start'); raise SystemExit(3)"
    process = ManagedProcess.start("early", [sys.executable, "-c", code], log_dir=tmp_path, env=dict(os.environ))
    with pytest.raises(RuntimeError, match="cannot start"):
        process.wait_for(lambda: False, "never")
    assert process.wait(60) == 3


def test_waiting_tells_what_it_waited_for() -> None:
    with pytest.raises(WaitTimeout, match="the moon"):
        eventually(lambda: False, "the moon", 0.2)


def test_nothing_survives_a_session_that_is_killed(tmp_path: Path) -> None:
    """Neither a child nor a grandchild that left the process group."""
    pids = tmp_path / "pids"
    child = f"""
import os, subprocess, sys, time
inner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
open({str(pids)!r}, "w").write(f"{{os.getpid()}} {{inner.pid}}")
time.sleep(600)
"""
    session = f"""
import os, sys, time
from pathlib import Path
from tests.support.processes import ManagedProcess
ManagedProcess.start("child", [sys.executable, "-c", {child!r}], log_dir=Path({str(tmp_path)!r}), env=dict(os.environ))
time.sleep(600)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    killed = subprocess.Popen([sys.executable, "-c", session], env=environment)
    try:
        started = eventually(lambda: pids.read_text().split() if pids.exists() else [], "child and grandchild run")
    finally:
        killed.send_signal(signal.SIGKILL)
        killed.wait(60)
    assert started
    eventually(lambda: not any(psutil.pid_exists(int(pid)) for pid in started), "both are gone")


def test_free_ports_are_free() -> None:
    assert free_port() != free_port()
