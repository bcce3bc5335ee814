"""The Docker worker and a real engine, all in containers of our images: server, worker, and the runs that it starts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.net import LOOPBACK, answers, free_port
from tests.support.real_image import Built, image_of, ready, told
from tests.support.runs import Runs, open_api
from tests.support.wait import eventually

pytestmark = pytest.mark.image

POOL = "containers"
FLOWS = """
import os
import time
from pathlib import Path

from sempre import flow


@flow
def hello():
    print(f"hello from {os.getuid()}", flush=True)


@flow
def patient():
    print("patient begins", flush=True)
    while not Path("/flows/go").exists():
        time.sleep(0.1)
"""
VARIABLES = ("image", "image_pull_policy", "network_mode", "stream_output", "volumes", "auto_remove")


@dataclass
class Stage:
    images: Built
    runs: Runs
    url: str
    folder: Path
    worker: Any

    def start_worker(self) -> None:
        """It is not root, and may use the engine as a member of its socket's group."""
        socket = Path(self.images.engine.address.removeprefix("unix://"))
        self.worker = self.images.start(
            image_of("worker"), "prefect", "worker", "start", "--pool", POOL, "--type", "docker", "--name", "one",
            environment={"PREFECT_API_URL": self.url, "SEMPRE_WORKER_QUERY_SECONDS": "0.5"},
            volumes=[f"{socket}:/var/run/docker.sock"], group_add=[socket.stat().st_gid],
        )  # fmt: skip
        ready(self.worker, lambda: "serves work pool" in told(self.worker), "the worker has begun")

    def kill_worker(self) -> None:
        self.worker.kill()
        self.worker.wait(timeout=60)

    def ask(self, flow: str, **run: Any) -> str:
        deployment = self.runs.get(f"deployments/name/{flow}/in-a-container")
        body = {"state": {"type": "SCHEDULED"}, **run}
        return str(self.runs.post(f"deployments/{deployment['id']}/create_flow_run", body)["id"])

    def containers(self, run: str) -> list[Any]:
        found: list[Any] = self.images.client.containers.list(
            all=True, filters={"label": f"io.prefect.flow-run-id={run}"}
        )
        return found

    def ended(self, run: str) -> tuple[str, int]:
        """Name and exit code of the only container of a run, once it has ended."""
        (container,) = self.containers(run)
        code: int = container.wait(timeout=90)["StatusCode"]
        return container.name, code

    def begun(self) -> str:
        run = self.ask("patient")
        self.runs.wait_state(run, "RUNNING", timeout=120)
        return run


@pytest.fixture(scope="module")
def stage(images: Built, workdir: Path) -> Iterator[Stage]:
    port = str(free_port())
    server = images.start(image_of("server"), "prefect", "server", "start", "--host", LOOPBACK, "--port", port)
    url = f"http://{LOOPBACK}:{port}/api"
    ready(server, lambda: answers(f"{url}/ready"), "the server is ready")
    folder = workdir / "flows"
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "flows.py").write_text(FLOWS)
    with open_api(f"{url}/") as api:
        runs = Runs(api)
        template = {
            "variables": {"properties": {name: {} for name in VARIABLES}},
            "job_configuration": {name: f"{{{{ {name} }}}}" for name in VARIABLES},
        }
        runs.post("work_pools/", {"name": POOL, "type": "docker", "base_job_template": template})
        variables = {
            "image": image_of("worker"), "image_pull_policy": "Never", "network_mode": "host", "stream_output": True,
            "volumes": [f"{folder}:/flows:ro"],
        }  # fmt: skip
        for flow in ("hello", "patient"):
            body = {
                "name": "in-a-container", "flow_id": runs.post("flows/", {"name": flow})["id"], "path": "/flows",
                "entrypoint": f"flows.py:{flow}", "work_pool_name": POOL, "job_variables": variables,
            }  # fmt: skip
            runs.post("deployments/", body)
        opened = Stage(images, runs, url, folder, None)
        opened.start_worker()
        yield opened
        assert images.stop(opened.worker) == 0, told(opened.worker)
        assert images.stop(server) == 0, told(server)


def test_runs_execute_in_containers_of_their_own(stage: Stage) -> None:
    twins = [stage.ask("hello", name="twin") for _ in range(2)]
    for run in twins:
        stage.runs.wait_state(run, "COMPLETED", timeout=120)
    assert sorted(stage.ended(run) for run in twins) == [("twin", 0), ("twin-1", 0)]
    eventually(lambda: told(stage.worker).count("hello from 1001\n") == 2, "what they printed was copied")
    resource = f"prefect.docker.container.{stage.containers(twins[0])[0].id}"
    wanted = {"filter": {"resource": {"id": [resource]}, "order": "ASC"}}

    def events() -> list[str]:
        return [event["event"].rpartition(".")[2] for event in stage.runs.post("events/filter", wanted)["events"]]

    eventually(lambda: events() == ["created", "running", "exited"], "its events", detail=events)


def test_a_run_is_cancelled(stage: Stage) -> None:
    run = stage.begun()
    stage.runs.post(f"flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})
    stage.runs.wait_state(run, "CANCELLED", timeout=120)
    stage.ended(run)


def test_a_container_is_killed(stage: Stage) -> None:
    run = stage.begun()
    stage.containers(run)[0].kill()
    state = stage.runs.wait_state(run, "CRASHED", timeout=120)["state"]
    assert "137" in state["message"]
    assert "The container was killed" in state["message"]


def test_an_image_that_there_is_not(stage: Stage) -> None:
    run = stage.ask("hello", job_variables={"image": "nowhere:1"})
    state = stage.runs.wait_state(run, "CRASHED", timeout=120)["state"]
    assert "No such image: nowhere:1" in state["message"]
    assert stage.containers(run) == []


def test_the_next_worker_looks_after_what_runs(stage: Stage) -> None:
    ending, killed = (stage.ask("patient", job_variables={"auto_remove": last}) for last in (True, False))
    for run in (ending, killed):
        stage.runs.wait_state(run, "RUNNING", timeout=120)
    stage.kill_worker()
    stage.start_worker()
    stage.containers(killed)[0].kill()
    assert "137" in stage.runs.wait_state(killed, "CRASHED", timeout=120)["state"]["message"]
    assert stage.ended(killed)[1] == 137
    (stage.folder / "go").touch()
    stage.runs.wait_state(ending, "COMPLETED", timeout=120)
    eventually(lambda: stage.containers(ending) == [], "the container removed itself")
    assert [stage.runs.history(run).count("Running") for run in (ending, killed)] == [1, 1]
