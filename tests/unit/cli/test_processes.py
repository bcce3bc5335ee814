"""Real `sempre server` processes around a small stand-in for the application: sockets, signals, children, pid files."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.wait import eventually

# Found by every Python of the test at its start, also by spawned children.
STAND_IN = """
import asyncio, os, sys, types
from contextlib import asynccontextmanager

def create_app(settings, *, services):
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def health(request):
        return JSONResponse(True)

    async def facts(request):
        draining = getattr(app.state, "draining", False)
        return JSONResponse({"pid": os.getpid(), "services": services, "draining": draining})

    async def slow(request):
        open(os.environ["MARKS"] + "/slow", "w").close()
        await asyncio.sleep(1)
        return JSONResponse("done")

    @asynccontextmanager
    async def lifespan(app):
        if os.environ.get("BROKEN"):
            raise RuntimeError("no schema")
        if os.environ.get("CRASHING"):
            os._exit(7)
        yield

    app = Starlette(lifespan=lifespan, routes=[
        Route("/api/health", health), Route("/api/facts", facts), Route("/api/slow", slow)])
    return app

async def run_services(settings):
    mark = os.environ["MARKS"] + "/services"
    with open(mark, "w") as stream:
        stream.write(str(os.getpid()))
    try:
        await asyncio.Event().wait()
    finally:
        os.unlink(mark)

for name, attribute in (("sempre.server.app", create_app), ("sempre.server.services.supervisor", run_services)):
    module = types.ModuleType(name)
    setattr(module, attribute.__name__, attribute)
    sys.modules[name] = module
"""


@pytest.fixture
def env(home: Path, tmp_path: Path) -> dict[str, str]:
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(STAND_IN)
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(site), str(Path(__file__).parents[3])]),
        "MARKS": str(tmp_path),
        "SEMPRE_SERVER_DATABASE_CONNECTION_URL": "postgresql://stand-in/none",
        "SEMPRE_SERVER_API_WEBSOCKET_PROTOCOL": "websockets-sansio",
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(port: int, path: str, timeout: float = 5.0) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/{path}", timeout=timeout) as answer:
        return json.loads(answer.read())


def answers(port: int) -> bool:
    try:
        return bool(get(port, "health", timeout=1.0))
    except OSError:
        return False


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def sempre(env: dict[str, str], *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "sempre", *arguments], env=env, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str], code: int) -> str:
    _, err = process.communicate(timeout=30)
    assert process.returncode == code, err
    return err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_start_serves_says_where_and_ends_with_0(env: dict[str, str], number: int) -> None:
    port = free_port()
    with sempre(env, "server", "start", "--port", str(port)) as process:
        eventually(lambda: answers(port), "the API answers")
        assert get(port, "facts") == {"pid": process.pid, "services": True, "draining": False}
        process.send_signal(number)
        err = ended(process, 0)
    assert f"PREFECT_API_URL=http://127.0.0.1:{port}/api" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("variable", [None, "PREFECT__SERVER_WEBSERVER_ONLY"])
def test_no_services(env: dict[str, str], variable: str | None) -> None:
    port = free_port()
    flags = () if variable else ("--no-services",)
    with sempre({**env, **({variable: "1"} if variable else {})}, "server", "start", "--port", str(port), *flags):
        eventually(lambda: answers(port), "the API answers")
        assert get(port, "facts")["services"] is False


def test_a_request_in_flight_is_finished(env: dict[str, str], tmp_path: Path) -> None:
    port = free_port()
    with sempre(env, "server", "start", "--port", str(port)) as process:
        eventually(lambda: answers(port), "the API answers")
        code = f"import urllib.request as u; print(u.urlopen('http://127.0.0.1:{port}/api/slow', timeout=20).read())"
        client = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        eventually((tmp_path / "slow").exists, "the request has arrived")
        process.terminate()
        out, _ = client.communicate(timeout=30)
        ended(process, 0)
    assert out.strip() == "b'\"done\"'"


def test_drain_keeps_serving_for_a_while(env: dict[str, str]) -> None:
    port = free_port()
    env = {**env, "SEMPRE_SERVER_API_SHUTDOWN_DRAIN_SECONDS": "60"}
    with sempre(env, "server", "start", "--port", str(port)) as process:
        eventually(lambda: answers(port), "the API answers")
        process.terminate()
        eventually(lambda: get(port, "facts")["draining"], "the application knows that it drains")

        def ended_at_once() -> bool:
            process.terminate()  # the second signal does not wait; one in the same moment is the first one's echo
            return process.poll() is not None

        eventually(ended_at_once, "the end of an impatient stop")
        assert process.returncode in (0, 1, -signal.SIGTERM)  # it was asked more than once on its way out


def test_a_stop_signal_that_comes_twice_at_once_is_one(env: dict[str, str]) -> None:
    port = free_port()
    env = {**env, "SEMPRE_SERVER_API_SHUTDOWN_DRAIN_SECONDS": "1"}
    with sempre(env, "server", "start", "--port", str(port)) as process:
        eventually(lambda: answers(port), "the API answers")
        began = time.monotonic()
        process.terminate()
        eventually(lambda: get(port, "facts")["draining"], "the application knows that it drains")
        process.terminate()
        ended(process, 0)
        assert time.monotonic() - began >= 1


def test_a_failed_start_up_ends_with_3(env: dict[str, str]) -> None:
    for flags in ((), ("--workers", "2")):
        with sempre({**env, "BROKEN": "1"}, "server", "start", "--port", "0", *flags) as process:
            assert "no schema" in ended(process, 3)


def test_a_taken_port_is_said_at_once(env: dict[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for flags in ((), ("-b",)):
            with sempre(env, "server", "start", "--port", port, *flags) as process:
                assert f"Port {port} on 127.0.0.1 is already in use" in ended(process, 1)


def test_services_process_runs_until_a_signal(env: dict[str, str], tmp_path: Path) -> None:
    mark = tmp_path / "services"
    with sempre(env, "server", "services", "start") as process:
        eventually(mark.exists, "the services run")
        process.terminate()
        ended(process, 0)
    assert not mark.exists()  # they were told, not killed


def both_workers(port: int) -> set[int]:
    """The pids of the two workers, once each of them has answered."""
    seen: set[int] = set()

    def ask() -> bool:
        seen.add(get(port, "facts")["pid"])
        return len(seen) == 2

    eventually(ask, "two workers take requests")
    return seen


def test_workers_are_replaced_and_leave_with_the_supervisor(env: dict[str, str], tmp_path: Path) -> None:
    port, mark = free_port(), tmp_path / "services"
    with sempre(env, "server", "start", "--port", str(port), "--workers", "2") as process:
        eventually(lambda: answers(port) and mark.exists() and mark.read_text(), "the API answers, the services run")
        services = int(mark.read_text())
        seen = both_workers(port)
        assert process.pid not in seen
        victim = seen.pop()
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: not alive(victim), "the victim is gone")
        replaced = both_workers(port)
        assert victim not in replaced
        process.terminate()
        ended(process, 0)
        assert not any(alive(pid) for pid in (*replaced, services))
        assert not mark.exists()


def test_ctrl_c_on_the_group_is_an_orderly_stop(env: dict[str, str], tmp_path: Path) -> None:
    port, mark = free_port(), tmp_path / "services"
    with sempre(env, "server", "start", "--port", str(port), "--workers", "2") as process:
        eventually(lambda: answers(port) and mark.exists(), "the API answers, the services run")
        os.killpg(process.pid, signal.SIGINT)
        assert "Traceback" not in ended(process, 0)
    assert not mark.exists()


def test_a_killed_supervisor_leaves_no_orphans(env: dict[str, str], tmp_path: Path) -> None:
    port, mark = free_port(), tmp_path / "services"
    with sempre(env, "server", "start", "--port", str(port), "--workers", "2") as process:
        eventually(lambda: answers(port) and mark.exists() and mark.read_text(), "the API answers, the services run")
        children = {*both_workers(port), int(mark.read_text())}
        process.kill()
        eventually(lambda: not any(alive(pid) for pid in children), "the children follow")
        eventually(lambda: not answers(port), "the port is free")


def test_children_that_crash_again_and_again_end_it_with_a_reason(env: dict[str, str]) -> None:
    with sempre({**env, "CRASHING": "1"}, "server", "start", "--port", "0", "--workers", "2") as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "does not come up: it ended with 7, 5 times in a row" in err
    assert "`sempre server start` without --workers says the same alone" in err


def run(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sempre", *arguments], env=env, capture_output=True, text=True, timeout=120, check=False
    )


def test_background_server(env: dict[str, str], home: Path) -> None:
    port = free_port()
    env = {**env, "SEMPRE_SERVER_API_PORT": str(port)}
    started = run(env, "server", "start", "-b")
    try:
        assert started.returncode == 0, started.stderr
        assert answers(port)
        pid_file = home / "server.pid"
        assert pid_file.stat().st_mode & 0o777 == 0o600
        pid = int(pid_file.read_text())
        again = run(env, "server", "start", "-b", "--port", "0")
        assert (again.returncode, "already" in again.stderr) == (1, True)
        status = run(env, "server", "status", "-o", "json")
        assert (status.returncode, json.loads(status.stdout)["status"]) == (0, "available")
    finally:
        stopped = run(env, "server", "stop")
    assert (stopped.returncode, stopped.stdout.strip()) == (0, "Stopped the server.")
    assert not alive(pid)
    assert not pid_file.exists()


def test_background_workers(env: dict[str, str], home: Path) -> None:
    port = free_port()
    env = {**env, "SEMPRE_SERVER_API_PORT": str(port)}
    started = run(env, "server", "start", "-b", "--workers", "2")
    try:
        assert started.returncode == 0, started.stderr
        children = both_workers(port)
        assert int((home / "server.pid").read_text()) not in children
    finally:
        stopped = run(env, "server", "stop")
    assert (stopped.returncode, stopped.stdout.strip()) == (0, "Stopped the server.")
    assert not any(alive(pid) for pid in children)


def test_background_failure_shows_the_log(env: dict[str, str], home: Path) -> None:
    failed = run({**env, "BROKEN": "1"}, "server", "start", "-b", "--port", str(free_port()))
    assert failed.returncode == 1
    assert "no schema" in failed.stderr
    assert not (home / "server.pid").exists()


def test_background_services_and_a_pid_file_left_by_a_kill(env: dict[str, str], home: Path) -> None:
    home.mkdir()
    (home / "services.pid").write_text(f"{os.getppid()}\n")  # somebody else's pid by now
    (home / "services.log").write_text("The background services are running.\n")  # of an earlier start
    try:
        assert run(env, "server", "services", "start", "-b").returncode == 0
        os.kill(int((home / "services.pid").read_text()), signal.SIGKILL)
        assert run(env, "server", "services", "start", "-b").returncode == 0
    finally:
        assert run(env, "server", "services", "stop").stdout.strip() == "Stopped the services."
