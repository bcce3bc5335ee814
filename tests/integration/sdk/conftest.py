"""One server for the module's scripts, and what its API says of the runs that they made."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.prefect_env import ROOT
from tests.support.servers import SEMPRE, SempreServer
from tests.support.wait import eventually


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SempreServer]:
    started = SempreServer(tmp_path_factory.mktemp("sdk-server"))
    started.start()
    yield started
    started.stop()


@dataclass
class Scripts:
    """Runs scripts of users in processes of their own."""

    server: SempreServer
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "SEMPRE_"))}
        return {
            **kept,
            "PYTHONPATH": str(ROOT),
            "SEMPRE_HOME": str(self.folder / "home"),
            "SEMPRE_API_URL": self.server.api_url,
            "SEMPRE_LOGGING_TO_API_BATCH_INTERVAL_SECONDS": "0.2",
        }

    def write(self, name: str, code: str) -> Path:
        path = self.folder / f"{name}.py"
        path.write_text(code)
        return path

    def start(self, path: Path, *args: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(path), *args],
            env={**self.environment, **env},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, path: Path, *args: str, code: int = 0, **env: str) -> str:
        process = self.start(path, *args, **env)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == code, f"{path.name} ended with {process.returncode}:\n{output}"
        return output

    # What the server says

    def post(self, path: str, body: Any) -> Any:
        answer = httpx.post(f"{self.server.api_url}{path}", json=body, timeout=20)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def get(self, path: str) -> Any:
        answer = httpx.get(f"{self.server.api_url}{path}", timeout=20)
        answer.raise_for_status()
        return answer.json()

    def flow_runs(self, flow: str) -> list[dict[str, Any]]:
        """The runs of a flow, the first one first."""
        body = {"flows": {"name": {"any_": [flow]}}, "sort": "START_TIME_ASC"}
        return list(self.post("/flow_runs/filter", body))

    def flow_run(self, flow: str) -> dict[str, Any]:
        (run,) = self.flow_runs(flow)
        return run

    def flow_history(self, flow: str) -> list[str]:
        run = self.flow_run(flow)
        return [state["name"] for state in self.get(f"/flow_run_states/?flow_run_id={run['id']}")]

    def task_runs(self, flow: str, until: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """The task runs of a flow, once the recorder has made of the events what the test waits for."""

        def read() -> list[dict[str, Any]] | None:
            found = self.post("/task_runs/filter", {"flows": {"name": {"any_": [flow]}}, "sort": "ID_DESC"})
            return found if until(found) else None

        return list(eventually(read, f"the task runs of {flow}"))

    def task_history(self, run: dict[str, Any]) -> list[str]:
        return [state["name"] for state in self.get(f"/task_run_states/?task_run_id={run['id']}")]


def deployment(scripts: Scripts, flow: str, name: str) -> dict[str, Any]:
    return dict(scripts.get(f"/deployments/name/{flow}/{name}"))


def sempre(scripts: Scripts, *args: str, at: Path, code: int = 0, stdin: str = "") -> str:
    done = subprocess.run(
        [*SEMPRE, *args],
        env=scripts.environment,
        cwd=at,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, f"sempre {' '.join(args)}\n{done.stdout}{done.stderr}"
    return done.stdout if code == 0 else " ".join(done.stderr.split())


@pytest.fixture
def scripts(server: SempreServer, tmp_path: Path) -> Scripts:
    return Scripts(server, tmp_path)
