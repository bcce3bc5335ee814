"""The same calls of `flow.deploy(image=...)` with both SDKs: what engine and server are asked for."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.sdk.sides import Side, sides
from tests.support.docker_engine import docker_engine
from tests.support.docker_images import Build, Images
from tests.support.runs import Runs
from tests.support.servers import Target

CALLS = {
    "untagged": 'image="reg.example:5000/team/etl"',
    "tagged": 'image="etl:7"',
    "not-pushed": 'image="reg.example/etl:7", push=False',
    "there": 'image="reg.example/etl:7", build=False',
    "both": 'image="reg.example/etl:7", job_variables={"image": "other:1", "env": {"A": "1"}}',
    "described": 'image=DockerImage("reg.example/etl", tag="9", dockerfile="own.Dockerfile", stream_progress_to=None, '
    'platform="linux/arm64", nocache=True, pull=True, buildargs={"A": "1"})',
}
SCRIPT = """
from imaged import imaged
from {package}.docker import DockerImage

{calls}
"""
FLOW = "from {package} import flow\n\n\n@flow(name='{side}-imaged')\ndef imaged():\n    return 1\n"
FILES = {
    ".dockerignore": "*.md\nsecret\n", "notes.md": "", "kept.txt": "", "requirements.txt": "httpx\n",
    "own.Dockerfile": "FROM scratch\n",
}  # fmt: skip
LOGIN = {"auth": base64.b64encode(b"me:hush").decode()}
TEMPLATE = {
    "variables": {"properties": {"image": {"type": "string"}, "env": {"type": "object"}}},
    "job_configuration": {"image": "{{ image }}"},
}


@pytest.fixture(scope="module")
def told(target: Target, runs: Runs, workdir: Path) -> dict[str, list[Any]]:
    """What came of each call, the stock side's first."""
    found: dict[str, list[Any]] = {name: [] for name in CALLS}
    runs.post("/work_pools/", {"name": "imaged", "type": "docker", "base_job_template": TEMPLATE})
    for side in sides(workdir, target.api_url):
        images = _deploy(side)
        builds, pushes = list(images.builds), list(images.pushes)
        for name, arguments in CALLS.items():
            made = runs.get(f"/deployments/name/{side.name}-imaged/{name}")
            facts = {key: made[key] for key in ("job_variables", "pull_steps", "entrypoint", "work_pool_name")}
            built = None if "build=False" in arguments else _built(builds.pop(0), "own" in arguments)
            pushed = pushes.pop(0) if built and "push=False" not in arguments else None
            found[name].append(_without_times([facts, built, pushed]))
        assert (builds, pushes) == ([], [])
    return found


def _deploy(side: Side) -> Images:
    """Make all the calls in one process; returns what the engine was asked for."""
    project = side.folder / "imaged"
    (project / "secret").mkdir(parents=True)
    configuration = side.folder / "docker"
    configuration.mkdir()
    auths = dict.fromkeys(("reg.example", "reg.example:5000", "https://index.docker.io/v1/"), LOGIN)
    (configuration / "config.json").write_text(json.dumps({"auths": auths}))
    calls = "\n".join(f'imaged.deploy("{name}", work_pool_name="imaged", {it})' for name, it in CALLS.items())
    script = SCRIPT.format(package=side.package, calls=calls)
    flow = FLOW.format(package=side.package, side=side.name)
    for name, text in {**FILES, "secret/key": "", "deploying.py": script, "imaged.py": flow}.items():
        (project / name).write_text(text)
    with tempfile.TemporaryDirectory() as socket, docker_engine(Path(socket)) as engine:  # its path must be short
        docker = {"DOCKER_HOST": engine.address, "DOCKER_CONFIG": str(configuration), "PYTHONDONTWRITEBYTECODE": "1"}
        with (side.folder / "deploying.log").open("w") as log:
            command = [side.python, "deploying.py"]
            environment = {**side.environment, **docker}
            subprocess.run(command, env=environment, cwd=project, stdout=log, stderr=log, timeout=180, check=True)
    return engine.images


def _built(build: Build, is_own: bool) -> Any:
    """Of made Dockerfiles the lines on the code: each SDK has a base of its own, and installs in its own way."""
    wanted = ("t", "platform", "nocache", "buildargs", *(("dockerfile", "pull") if is_own else ()))
    query = {name: build.query.get(name) for name in wanted}
    files = set(build.files) - {".dockerignore", build.query["dockerfile"]}
    lines = [line for line in build.dockerfile.splitlines() if line.startswith(("COPY", "WORKDIR"))]
    return [query, sorted(files), [re.sub("/opt/(prefect|sempre)/", "/opt/", line) for line in lines]]


def _without_times(value: Any) -> Any:
    return json.loads(re.sub(r"etl:\d{4}-\d\d-\d\dt[\d-]+", "etl:TIME", json.dumps(value)))


@pytest.mark.parametrize("name", CALLS)
def test_same(told: dict[str, list[Any]], name: str) -> None:
    stock, ours = told[name]
    assert ours == stock


def test_what_is_the_same(told: dict[str, list[Any]]) -> None:
    facts, (query, files, lines), pushed = told["untagged"][1]
    image = "reg.example:5000/team/etl:TIME"
    assert (facts["job_variables"], query["t"], pushed) == ({"image": image}, image, [image, "me"])
    assert files == ["deploying.py", "imaged.py", "kept.txt", "own.Dockerfile", "requirements.txt"]
    assert lines == [
        "COPY requirements.txt /opt/imaged/requirements.txt",
        "COPY . /opt/imaged/",
        "WORKDIR /opt/imaged/",
    ]
    assert told["both"][1][0]["job_variables"] == {"image": "reg.example/etl:7", "env": {"A": "1"}}
