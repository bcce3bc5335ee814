"""Ways to start a server: several workers on the embedded database, and under somebody else's ASGI server."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped, unused-ignore]
import pytest

from sempre.db.embedded import embedded_is_running, stop_embedded
from tests.support.database import Database
from tests.support.net import LOOPBACK, answers, free_port
from tests.support.processes import ManagedProcess
from tests.support.servers import SEMPRE, sempre_environment


@pytest.fixture
def home() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="sempre-lifecycle-"))
    yield directory
    stop_embedded(directory, force=True)
    shutil.rmtree(directory, ignore_errors=True)


def test_workers_share_the_embedded_database_and_outlive_each_other(home: Path, workdir: Path) -> None:
    port = free_port()
    argv = [*SEMPRE, "server", "start", "--port", str(port), "--workers", "2"]
    process = ManagedProcess.start("embedded-workers", argv, log_dir=workdir, env=sempre_environment(home, None, None))
    try:
        process.wait_for_output("Sempre is playing.", 90)
        url = f"http://{LOOPBACK}:{port}/api"
        assert httpx.post(f"{url}/flows/", json={"name": "embedded"}).status_code == 201
        victim = next(c for c in psutil.Process(process.pid).children() if "spawn_main" in " ".join(c.cmdline()))
        # A retry on the same connection is all that a client of a killed process needs.
        transport = httpx.HTTPTransport(retries=3)
        with httpx.Client(transport=transport, headers={"Connection": "close"}) as http:
            victim.kill()
            victim.wait(60)
            for _ in range(50):
                assert http.get(f"{url}/flows/name/embedded").status_code == 200
        process.wait_for_output("ended with -9")
        assert embedded_is_running(home)
        assert process.terminate() == 0
        assert not embedded_is_running(home)
    finally:
        process.terminate()


def test_the_application_under_another_server(database: Database, workdir: Path) -> None:
    port = free_port()
    argv = [sys.executable, "-m", "uvicorn", "--factory", "sempre.server.app:from_environment", "--port", str(port)]
    extra = {"PREFECT__SERVER_WEBSERVER_ONLY": "1", "PREFECT_SERVER_API_BASE_PATH": "/prefix/api"}
    process = ManagedProcess.start(
        "foreign", argv, log_dir=workdir, env=sempre_environment(workdir / "foreign", database, extra)
    )
    try:
        url = f"http://{LOOPBACK}:{port}/prefix/api"
        process.wait_for(lambda: answers(f"{url}/ready"), "is ready under its base path")
        assert httpx.get(f"{url}/health").json() is True
        assert httpx.post(f"{url}/flows/filter", json={}).status_code == 200
        assert database.fetch("SELECT FROM service WHERE started IS NOT NULL") == [], "no services were asked for"
    finally:
        process.terminate()
