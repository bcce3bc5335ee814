"""The tutorial step by step, with the files of the page: flows by hand, served, and on a worker."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.docs.pages import ROOT, read
from tests.support.processes import ManagedProcess
from tests.support.runs import checked
from tests.support.servers import SempreServer

PAGE = read(ROOT / "docs" / "tutorial.md")


class Reader:
    """Types what the page says, in a folder of its own."""

    def __init__(self, server: SempreServer, folder: Path) -> None:
        self.folder = folder
        self.api_url = server.api_url
        folder.mkdir()
        for name, code in PAGE.files.items():
            (folder / name).write_text(code)
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "SEMPRE_"))}
        own = {"PYTHONPATH": str(ROOT), "SEMPRE_HOME": str(folder / "home"), "SEMPRE_API_URL": self.api_url}
        self.env = {**kept, **own, "SEMPRE_WORKER_QUERY_SECONDS": "1", "SEMPRE_RUNNER_POLL_FREQUENCY": "1"}
        self.started: list[ManagedProcess] = []

    def start(self, *argv: str) -> ManagedProcess:
        """`python ARGV` or `sempre ARGV`."""
        command = [sys.executable, *argv[1:]] if argv[0] == "python" else [sys.executable, "-m", *argv]
        name = f"{len(self.started):02}-{argv[1].removesuffix('.py')}"
        process = ManagedProcess.start(name, command, log_dir=self.folder, env=self.env, cwd=self.folder)
        self.started.append(process)
        return process

    def types(self, *argv: str) -> str:
        process = self.start(*argv)
        assert process.wait(90) == 0, process.tail(60)
        return process.output()

    def post(self, path: str, body: Any) -> Any:
        return checked(httpx.post(f"{self.api_url}{path}", json=body))

    def has_deployment(self, name: str) -> bool:
        return httpx.get(f"{self.api_url}/deployments/name/weather/{name}").status_code == 200


@pytest.fixture(scope="module")
def reader(server: SempreServer, workdir: Path) -> Iterator[Reader]:
    made = Reader(server, workdir / "reader")
    yield made
    for process in made.started:
        process.terminate(10)


def test_by_hand(reader: Reader) -> None:
    reader.types("python", "first.py")
    reader.types("python", "weather.py")
    assert "weather" in reader.types("sempre", "flow-run", "ls")
    runs = reader.post("/flow_runs/filter", {"flows": {"name": {"any_": ["weather"]}}})
    assert [run["state_type"] for run in runs] == ["COMPLETED"] * 2


def test_served(reader: Reader) -> None:
    serving = reader.start("python", "serve_weather.py")
    serving.wait_for(lambda: reader.has_deployment("hourly"), "makes its deployment known")
    reader.types("sempre", "deployment", "run", "weather/hourly", "--watch")
    assert serving.terminate(30) == 0, serving.tail()


def test_on_a_worker(reader: Reader) -> None:
    reader.types("sempre", "work-pool", "create", "local", "--type", "process")
    worker = reader.start("sempre", "worker", "start", "--pool", "local")
    reader.types("python", "deploy_weather.py")
    reader.types("sempre", "deployment", "run", "weather/nightly", "--watch")
    assert "0 6 * * *" in reader.types("sempre", "deployment", "schedule", "ls", "weather/nightly")
    assert worker.terminate(30) == 0, worker.tail()
