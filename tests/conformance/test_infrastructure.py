"""What workers give to containers is all that a run needs, whether the image has our command line or the stock one."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import yaml

from sempre.client import Client, backstage, get_client
from sempre.settings import ClientSettings
from sempre.settings.client import ApiSettings
from sempre.workers.types import infrastructure_of
from sempre.workers.worker import Worker
from tests.integration.infrastructure.runs import until
from tests.support.docker_engine import Container, DockerEngine, open_docker_engine
from tests.support.kube_api import KubeApi, Object, open_kube_api
from tests.support.prefect_env import ROOT, interpreter
from tests.support.servers import SempreServer

FLOW = """
import json, os
from pathlib import Path
from {package} import flow

@flow
def note(seen: str):
    Path(seen).write_text(json.dumps({{key: os.environ[key] for key in os.environ if "__" in key}}))
"""
HEARD = {"Scheduled", "Pending", "Submitting", "Running", "Completed"}
Execute = Callable[[list[str], dict[str, str]], Awaitable[int]]


@pytest.fixture(autouse=True)
def _backstage() -> Iterator[None]:
    """No connection outlives its test."""
    yield
    backstage.close(5)


def executor(player: str, folder: Path) -> Execute:
    """Plays the container: an image is a command line and an environment."""

    async def execute(command: list[str], env: dict[str, str]) -> int:
        assert command[0] == "prefect"
        (folder / "given.json").write_text(json.dumps(env))
        if player == "prefect":
            words = [str(interpreter().parent / "prefect"), *command[1:]]
        else:
            words = [sys.executable, "-c", "from sempre.cli import main; main()", *command[1:]]
        inside = {name: value.replace("host.docker.internal", "127.0.0.1") for name, value in env.items()}
        own = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(ROOT) if player == "sempre" else ""}
        process = await asyncio.create_subprocess_exec(*words, cwd=folder, env={**own, **inside})
        return await process.wait()

    return execute


async def play_kubelet(kube: KubeApi, execute: Execute) -> None:
    [started] = await until(lambda: kube.all("jobs"), len)
    pod = await kube.run(await kube.add_pod(started))
    container: Object = started["spec"]["template"]["spec"]["containers"][0]
    code = await execute(container["args"], {entry["name"]: entry["value"] for entry in container["env"]})
    await kube.end(pod, code)
    await kube.end_job(started, failed=code != 0)


async def play_engine(engine: DockerEngine, execute: Execute) -> None:
    def running() -> list[Container]:
        return [container for container in engine.containers.values() if container.status == "running"]

    [container] = await until(running, len)
    code = await execute(container.body["Cmd"], dict(entry.split("=", 1) for entry in container.body["Env"]))
    await engine.exit(container, code)


async def asked(client: Client, pool: str, folder: Path) -> UUID:
    """A run of a deployment of the flow, that is due."""
    flow_id = await client.create_flow_from_name("note")
    deployment = await client.create_deployment(
        flow_id,
        f"note-{pool}",
        work_pool_name=pool,
        entrypoint="noting.py:note",
        path=str(folder),
        enforce_parameter_schema=False,
    )
    run = await client.create_flow_run_from_deployment(
        deployment,
        parameters={"seen": str(folder / "seen.json")},
        state={"type": "SCHEDULED"},
        job_variables={"image": "flows:1"},
    )
    return run.id


@pytest.mark.parametrize("player", ["sempre", "prefect"])
@pytest.mark.parametrize("kind", ["kubernetes", "docker"])
async def test_a_run_in_a_container(
    server: SempreServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, player: str
) -> None:
    (tmp_path / "noting.py").write_text(FLOW.format(package=player))
    settings = ClientSettings(home=tmp_path, api=ApiSettings(url=server.api_url))
    pool, execute = f"pool-{uuid4().hex[:8]}", executor(player, tmp_path)
    client = get_client(settings=settings)
    async with AsyncExitStack() as stack:
        if kind == "kubernetes":
            kube = await stack.enter_async_context(open_kube_api())
            (tmp_path / "kubeconfig").write_text(yaml.safe_dump(kube.kubeconfig()))
            monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
            playing = asyncio.create_task(play_kubelet(kube, execute))
        else:
            sockets = stack.enter_context(tempfile.TemporaryDirectory())
            engine = await stack.enter_async_context(open_docker_engine(Path(sockets)))
            engine.images.add("flows:1")
            monkeypatch.setenv("DOCKER_HOST", engine.address)
            playing = asyncio.create_task(play_engine(engine, execute))
        metadata: Any = await client.read_worker_metadata()
        template = metadata[f"prefect-{kind}"][kind]["default_base_job_configuration"]
        await client.create_work_pool({"name": pool, "type": kind, "base_job_template": template})
        run_id = await asked(client, pool, tmp_path)
        worker = Worker(infrastructure_of(kind), pool, name="Worker 1", settings=settings)
        async with asyncio.timeout(60):
            await worker.run(run_once=True)
        await playing
    run = await client.read_flow_run(run_id)
    names = [state.name for state in await client.read_flow_run_states(run_id)]
    assert set(names) - {"InfrastructurePending"} == HEARD, (names, run.state and run.state.message)
    assert names[-1] == "Completed"
    given, seen = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("given", "seen"))
    wanted = {
        "FLOW_RUN_ID": str(run_id),
        "FLOW_NAME": "note",
        "DEPLOYMENT_NAME": f"note-{pool}",
        "WORKER_NAME": "Worker 1",
    }
    assert {key: given[f"PREFECT__{key}"] for key in wanted} == wanted
    if player == "prefect":
        del wanted["DEPLOYMENT_NAME"]  # its process for the flow is told all this anew, by who has read no deployment
    assert {key: seen.get(f"PREFECT__{key}") for key in wanted} == wanted, sorted(seen)

    async def pid() -> str | None:
        return (await client.read_flow_run(run_id)).infrastructure_pid

    assert ":" in str(await until(pid, bool))
