"""`sempre server` as operators run it: real processes on a real database, killed, drained and started again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil  # type: ignore[import-untyped, unused-ignore]
import pytest
import websockets
from websockets.typing import Subprotocol

from sempre.db.embedded import embedded_is_running, stop_embedded
from tests.support.database import Database
from tests.support.net import LOOPBACK, answers, free_port
from tests.support.processes import ManagedProcess
from tests.support.servers import SEMPRE, SempreServer, ServicesProcess, run_sempre, sempre_environment
from tests.support.wait import eventually


@pytest.fixture
def home() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="sempre-process-"))
    yield directory
    stop_embedded(directory / "home", force=True)
    shutil.rmtree(directory, ignore_errors=True)


def call(server: SempreServer, method: str, path: str, body: Any = None, timeout: float = 60.0) -> httpx.Response:
    return httpx.request(method, f"{server.api_url}{path}", json=body, timeout=timeout)


def test_a_killed_server_finds_its_embedded_database_again(home: Path) -> None:
    server = SempreServer(home)
    server.start()
    assert call(server, "POST", "/flows/", {"name": "kept"}).status_code == 201
    server.process.popen.send_signal(signal.SIGKILL)  # itself alone, as the kernel does when memory is short
    server.process.popen.wait(60)
    assert embedded_is_running(home / "home")
    server.start()
    assert call(server, "GET", "/flows/name/kept").status_code == 200
    assert server.process.terminate() == 0
    assert not embedded_is_running(home / "home")


def test_two_servers_on_one_home_share_the_database_but_no_port(home: Path) -> None:
    first, second = SempreServer(home), SempreServer(home, name="second")
    first.start()
    try:
        argv = [*SEMPRE, "server", "start", "--port", str(first.port)]
        environment = sempre_environment(home / "home", None, None)
        refused = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=30, check=False)
        assert refused.returncode == 1
        assert f"Port {first.port} on 127.0.0.1 is already in use" in refused.stderr
        assert "Traceback" not in refused.stderr
        second.start()
        assert call(first, "POST", "/flows/", {"name": "shared"}).status_code == 201
        assert call(second, "GET", "/flows/name/shared").status_code == 200
        first.process.kill()
        assert call(second, "GET", "/flows/name/shared").status_code == 200
    finally:
        first.stop()
        second.stop()


def test_a_server_in_the_background(home: Path) -> None:
    place, port = home / "home", free_port()
    flags = ("--port", str(port))

    def status(*more: str) -> subprocess.CompletedProcess[str]:
        environment = sempre_environment(place, None, {"SEMPRE_SERVER_API_PORT": str(port)})
        argv = [*SEMPRE, "server", "status", "-o", "json", *more]
        return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert status().returncode == 1
    run_sempre("server", "start", "--background", *flags, home=place)
    try:
        assert (place / "server.pid").stat().st_mode & 0o777 == 0o600
        answer = status("--wait", "-t", "20")
        assert (answer.returncode, json.loads(answer.stdout)["status"]) == (0, "available")

        def ran() -> dict[str, Any] | None:
            listed = json.loads(run_sempre("server", "services", "ls", "-o", "json", home=place))
            late_runs: dict[str, Any] = next(each for each in listed if each["name"] == "late_runs")
            return late_runs if late_runs["last_run"] and late_runs["last_run"]["completed"] else None

        found = eventually(ran, "late_runs has been run")
        assert found["interval"] == 5
        assert (place / "server.pid").read_text().strip() in found["last_run"]["owner"]
        versions = json.loads(run_sempre("version", "-o", "json", home=place))
        assert versions["postgres_version"].startswith("18")
    finally:
        stopped = run_sempre("server", "stop", home=place)
    assert "Stopped the server." in stopped
    assert not embedded_is_running(place)
    listed = run_sempre("server", "services", "ls", home=place)
    assert "Plans runs ahead" in listed
    assert not embedded_is_running(place), "a look at the services must not start a database"


def test_workers_share_a_port_and_are_replaced(database: Database, workdir: Path) -> None:
    port = free_port()
    argv = [*SEMPRE, "server", "start", "--port", str(port), "--workers", "2"]
    environment = sempre_environment(workdir / "workers-home", database, None)
    process = ManagedProcess.start("workers", argv, log_dir=workdir, env=environment)
    try:
        process.wait_for_output("Sempre is playing.")
        assert "2 API processes and services" in process.output()
        url = f"http://{LOOPBACK}:{port}/api"
        assert httpx.post(f"{url}/flows/", json={"name": "by-workers"}).status_code == 201
        children = [
            child for child in psutil.Process(process.pid).children() if "spawn_main" in " ".join(child.cmdline())
        ]
        assert len(children) == 3
        children[0].kill()
        process.wait_for_output("ended with -9")
        for _ in range(20):
            assert httpx.get(f"{url}/flows/name/by-workers").status_code == 200
        process.signal_group(signal.SIGTERM)  # as service managers do: to the supervisor and to its children
        assert process.wait(30) == 0
        assert "Traceback" not in process.output()
    finally:
        process.terminate()


def test_services_apart_from_the_api(database: Database, workdir: Path) -> None:
    api = SempreServer(workdir, database=database, services=False, name="api-alone")
    services = ServicesProcess(workdir, database, "services-alone")
    api.start()
    try:
        flow = call(api, "POST", "/flows/", {"name": "apart"}).json()
        schedule = {"interval": 3600, "timezone": "UTC"}
        body = {"name": "d", "flow_id": flow["id"], "schedules": [{"schedule": schedule}]}
        made = call(api, "POST", "/deployments/", body).json()
        wanted = {"deployments": {"id": {"any_": [made["id"]]}}}
        assert call(api, "POST", "/flow_runs/count", wanted).json() == 0
        services.start()
        eventually(lambda: call(api, "POST", "/flow_runs/count", wanted).json() == 3, "three runs are planned", 60)
        call(api, "POST", f"/deployments/{made['id']}/pause_deployment")
        assert call(api, "POST", "/flow_runs/count", wanted).json() == 0
        call(api, "POST", f"/deployments/{made['id']}/resume_deployment")
        eventually(lambda: call(api, "POST", "/flow_runs/count", wanted).json() == 3, "they are planned again", 60)
        assert services.process is not None
        assert services.process.terminate() == 0
    finally:
        services.stop()
        api.stop()


async def _blocked(database: Database, table: str) -> asyncpg.Connection:
    """Keep every writer of a table waiting until the connection is closed."""
    connection = await asyncpg.connect(database.url)
    await connection.execute(f"BEGIN; LOCK TABLE {table} IN EXCLUSIVE MODE")
    return connection


async def _waiting(database: Database, table: str) -> bool:
    connection = await asyncpg.connect(database.url)
    try:
        return bool(
            await connection.fetchval(
                "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = $1::text::regclass)", table
            )
        )
    finally:
        await connection.close()


def test_a_stop_says_so_finishes_requests_and_sends_listeners_elsewhere(database: Database, workdir: Path) -> None:
    env = {"SEMPRE_SERVER_API_SHUTDOWN_DRAIN_SECONDS": "1"}
    server = SempreServer(workdir, database=database, env=env, services=False, name="draining")
    server.start()
    outcome: dict[str, Any] = {}

    async def story() -> None:
        blocker = await _blocked(database, "variable")
        url = server.api_url.replace("http", "ws") + "/events/out"
        async with (
            httpx.AsyncClient(timeout=30) as client,
            websockets.connect(url, subprotocols=[Subprotocol("prefect")]) as listener,
        ):
            await listener.send(json.dumps({"type": "auth", "token": None}))
            assert json.loads(await listener.recv())["type"] == "auth_success"
            await listener.send(json.dumps({"type": "filter", "filter": {}}))
            written = asyncio.create_task(
                client.post(f"{server.api_url}/variables/", json={"name": "slow", "value": 1})
            )
            while not await _waiting(database, "variable"):
                assert not written.done(), written.result().text
            server.process.signal(signal.SIGTERM)
            status = 200
            while status == 200:
                status = (await client.get(f"{server.api_url}/ready")).status_code
            outcome["ready"] = status
            outcome["still served"] = (await client.post(f"{server.api_url}/flows/filter", json={})).status_code
            async with asyncio.timeout(60):
                with contextlib.suppress(websockets.ConnectionClosed):
                    while True:
                        await listener.recv()
            outcome["websocket"] = listener.close_code
            await blocker.close()
            outcome["in flight"] = (await written).status_code

    asyncio.run(story())
    assert server.process.wait(60) == 0
    assert outcome == {"ready": 503, "still served": 200, "websocket": 1012, "in flight": 201}


def test_a_second_migrator_says_that_it_waits(database: Database, workdir: Path) -> None:
    locked, done = threading.Event(), threading.Event()

    async def migrating() -> None:
        connection = await asyncpg.connect(database.url)
        await connection.execute("BEGIN; SELECT pg_advisory_xact_lock(5773269180401001)")
        locked.set()
        await asyncio.to_thread(done.wait, 120)
        await connection.close()

    other = threading.Thread(target=asyncio.run, args=(migrating(),))
    other.start()
    try:
        assert locked.wait(60)
        argv = [*SEMPRE, "server", "database", "upgrade", "-y"]
        environment = sempre_environment(workdir / "second-home", database, None)
        second = ManagedProcess.start("second-migrator", argv, log_dir=workdir, env=environment)
        second.wait_for_output("waiting for it to finish")
    finally:
        done.set()
        other.join()
    assert second.wait(60) == 0
    assert "as it was before" in second.output()


def test_without_a_database_the_server_stays_up(workdir: Path) -> None:
    nowhere = {"SEMPRE_SERVER_DATABASE_CONNECTION_URL": f"postgresql://u:secret@{LOOPBACK}:{free_port()}/x"}
    server = SempreServer(workdir, env=nowhere, name="no-database")
    process = server.launch()
    try:
        process.wait_for(lambda: answers(f"{server.api_url}/health"), "answers /health", 30)
        for method, path in (("GET", "/ready"), ("POST", "/flows/filter")):
            answer = call(server, method, path, None if method == "GET" else {})
            assert answer.status_code == 503
            assert float(answer.headers["retry-after"]) > 0
        assert "secret" not in process.output()
    finally:
        assert process.terminate() == 0
