"""Images that deploying builds and pushes: what an engine is asked for, and what the server knows then."""

from __future__ import annotations

import base64
import json
import os
import pty
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.sdk.conftest import Scripts, deployment, sempre
from tests.support.docker_engine import DockerEngine, docker_engine

TEMPLATE = {
    "variables": {"properties": {"image": {"type": "string"}, "env": {"type": "object"}}},
    "job_configuration": {"image": "{{ image }}", "env": "{{ env }}"},
}
DEPLOY = """
from {flow} import {flow}
from sempre.docker import DockerImage

{flow}.deploy("d", work_pool_name="{flow}-pool", {arguments})
"""
OWN = 'image=DockerImage("reg.example/etl", "2", "own.Dockerfile")'


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[DockerEngine]:
    """Of a machine whose docker has a configuration of its own."""
    (tmp_path / "docker").mkdir()
    with tempfile.TemporaryDirectory() as folder, docker_engine(Path(folder)) as opened:  # paths of sockets are short
        monkeypatch.setenv("DOCKER_HOST", opened.address)
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
        yield opened


@pytest.fixture
def flow(scripts: Scripts) -> str:
    """The name of a flow in a directory with files for an image, and of a pool that runs images."""
    name = f"flow_{scripts.folder.name.replace('-', '_')}"
    scripts.write(name, f"from sempre import flow\n\n\n@flow(name={name!r})\ndef {name}():\n    return 1\n")
    scripts.post("/work_pools/", {"name": f"{name}-pool", "type": "docker", "base_job_template": TEMPLATE})
    files = {
        ".dockerignore": "# not for images\n*.md\nhome\ndocker\ndeploying.py\n!kept.md\n",
        "notes.md": "", "kept.md": "", "requirements.txt": "httpx\n",
        "own.Dockerfile": "FROM scratch\nCOPY . /code\n", "bad.Dockerfile": "FROM scratch\nRUN exit 3\nCOPY . /code\n",
    }  # fmt: skip
    for file, text in files.items():
        (scripts.folder / file).write_text(text)
    return name


def deploy(
    scripts: Scripts, flow: str, arguments: str, code: int = 0, environment: Mapping[str, str] | None = None
) -> str:
    script = scripts.write("deploying", DEPLOY.format(flow=flow, arguments=arguments))
    output = scripts.run(script, code=code, **(environment or {}))
    return " ".join(output.split()) if code else output


def is_deployed(scripts: Scripts, flow: str, name: str = "d") -> bool:
    return httpx.get(f"{scripts.server.api_url}/deployments/name/{flow}/{name}").status_code == 200


def docker_configuration(scripts: Scripts, **settings: Any) -> None:
    (scripts.folder / "docker/config.json").write_text(json.dumps(settings))


def test_an_image_is_made_of_the_directory(scripts: Scripts, flow: str, engine: DockerEngine) -> None:
    before = {path.name for path in scripts.folder.iterdir()} | {"deploying.py", "__pycache__"}
    output = deploy(scripts, flow, 'image="reg.example:5000/team/etl"')
    (build,), ((pushed, login),) = engine.images.builds, engine.images.pushes
    assert re.fullmatch(r"reg\.example:5000/team/etl:\d{4}-\d\d-\d\dt[\d-]+", pushed)
    assert (build.query["t"], login) == (pushed, None)
    code = f"/opt/sempre/{scripts.folder.name}"
    assert build.dockerfile.splitlines()[2:] == [
        f"COPY requirements.txt {code}/requirements.txt",
        f"RUN pip install --no-cache-dir -r {code}/requirements.txt",
        f"COPY . {code}/",
        f"WORKDIR {code}/",
    ]
    sent = set(build.files) - {name for name in build.files if name.startswith("__pycache__")}
    assert sent == {
        ".dockerignore", "kept.md", "requirements.txt", f"{flow}.py", "own.Dockerfile", "bad.Dockerfile",
        build.query["dockerfile"],
    }  # fmt: skip
    assert build.query["dockerfile"] in build.files[".dockerignore"].splitlines(), "it is not copied into the image"
    made = deployment(scripts, flow, "d")
    assert (made["job_variables"], made["path"], made["pull_steps"]) == ({"image": pushed}, code, [])
    assert {path.name for path in scripts.folder.iterdir()} <= before
    lines = output.splitlines()
    assert "Step 1/6 : " + build.dockerfile.splitlines()[0] in lines
    assert "The push refers to repository [reg.example:5000/team/etl]" in lines
    assert not any("Pushing" in line for line in lines), "no bars in files"


def test_the_same_directory_makes_the_same_layers(scripts: Scripts, flow: str, engine: DockerEngine) -> None:
    for _ in range(2):
        deploy(scripts, flow, 'image="etl"')
    first, second = engine.images.builds
    assert first.query["t"] != second.query["t"]
    assert len({engine.images.here[build.query["t"]] for build in (first, second)}) == 1


SEVERAL = """
from sempre import deploy
from {flow} import {flow}

deployments = [{flow}.to_deployment(name) for name in ("a", "b")]
deploy(*deployments, work_pool_name="{flow}-pool", image="etl:1", print_next_steps_message=False)
"""


def test_several_deployments_share_an_image(scripts: Scripts, flow: str, engine: DockerEngine) -> None:
    scripts.run(scripts.write("deploying", SEVERAL.format(flow=flow)))
    assert (len(engine.images.builds), engine.images.pushes) == (1, [("etl:1", None)])
    assert [deployment(scripts, flow, name)["job_variables"] for name in ("a", "b")] == [{"image": "etl:1"}] * 2


DIGEST = f"reg.example/etl@sha256:{'a' * 64}"


@pytest.mark.parametrize(
    ("arguments", "image", "builds", "pushes"),
    [
        ('image="reg.example/etl:7", push=False', "reg.example/etl:7", 1, 0),
        ('image="reg.example/etl:7", build=False', "reg.example/etl:7", 0, 0),
        ('image="localhost:5000/etl", build=False', "localhost:5000/etl:latest", 0, 0),
        (f'image="{DIGEST}", build=False', DIGEST, 0, 0),
        ('image="etl:7", job_variables={"image": "other:1", "env": {"A": "1"}}', "etl:7", 1, 1),
    ],
)
def test_what_is_asked_for(
    scripts: Scripts, flow: str, engine: DockerEngine, arguments: str, image: str, builds: int, pushes: int
) -> None:
    deploy(scripts, flow, arguments)
    assert (len(engine.images.builds), len(engine.images.pushes)) == (builds, pushes)
    assert deployment(scripts, flow, "d")["job_variables"]["image"] == image


@pytest.mark.parametrize("prefix", ["PREFECT", "SEMPRE_DEPLOYMENTS"])
def test_names_without_a_registry(scripts: Scripts, flow: str, engine: DockerEngine, prefix: str) -> None:
    for image in ("etl:1", "team/etl:1"):
        deploy(
            scripts,
            flow,
            f'image="{image}"',
            environment={f"{prefix}_DEFAULT_DOCKER_BUILD_NAMESPACE": "reg.example/flows"},
        )
    assert [image for image, _ in engine.images.pushes] == ["reg.example/flows/etl:1", "team/etl:1"]


def test_options_of_a_build(scripts: Scripts, flow: str, engine: DockerEngine) -> None:
    given = 'buildargs={"A": "1"}, platform="linux/arm64", nocache=True, pull=True, labels={"x": "y"}, gzip=True'
    output = deploy(scripts, flow, f"{OWN[:-1]}, stream_progress_to=None, {given})")
    assert "Step" not in output
    (build,) = engine.images.builds
    wanted = {
        "t": "reg.example/etl:2", "dockerfile": "own.Dockerfile", "platform": "linux/arm64", "nocache": "True",
        "pull": "True", "rm": "True", "buildargs": '{"A": "1"}', "labels": '{"x": "y"}',
    }  # fmt: skip
    assert {name: build.query[name] for name in wanted} == wanted
    assert build.dockerfile == "FROM scratch\nCOPY . /code\n"
    assert deployment(scripts, flow, "d")["path"] == "."


def test_a_build_that_fails(scripts: Scripts, flow: str, engine: DockerEngine) -> None:
    told = deploy(scripts, flow, 'image=DockerImage("etl:1", dockerfile="bad.Dockerfile")', code=1)
    assert (
        "ImageError: The image etl:1 was not built: The command '/bin/sh -c exit 3' returned a non-zero code: 3 Before "
        "that the engine said: Step 1/3 : FROM scratch Step 2/3 : RUN exit 3 Nothing was pushed or deployed. Correct it"
    ) in told
    engine.drops = ["/build$"]
    told = deploy(scripts, flow, 'image=DockerImage("etl:1", dockerfile="own.Dockerfile")', code=1)
    assert "ImageError: The image etl:1 was not built: the connection to the Docker engine broke" in told
    (scripts.folder / "bad.Dockerfile").write_text("")
    told = deploy(scripts, flow, 'image=DockerImage("etl:1", dockerfile="bad.Dockerfile")', code=1)
    assert "ImageError: The image etl:1 was not built: the Dockerfile cannot be empty Nothing was pushed" in told
    assert engine.images.pushes == []
    assert not is_deployed(scripts, flow)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ('image=DockerImage("etl", "1", colour="red")', "Docker's build has no option colour; it has buildargs"),
        ('image=DockerImage("etl", "1", dockerfile="none")', "There is no none in"),
        ('image=DockerImage("etl", "1", build_backend="buildx")', "not built by 'buildx' here"),
        (f'image="{DIGEST}"', "names an image by what is in it: deploy it with build=False"),
        ('image="Etl:1"', "The image Etl:1 was not built: invalid tag 'Etl:1': invalid reference format"),
    ],
)
def test_what_cannot_be_built(scripts: Scripts, flow: str, engine: DockerEngine, arguments: str, why: str) -> None:
    assert why in deploy(scripts, flow, arguments, code=1)
    assert engine.images.builds == []
    assert not is_deployed(scripts, flow)


def test_pushes_are_refused_without_the_right_login(scripts: Scripts, flow: str, engine: DockerEngine) -> None:
    engine.images.accounts["reg.example"] = "me:hush"
    told = deploy(scripts, flow, OWN, code=1)
    assert "The image reg.example/etl:2 was not pushed: no basic auth" in told
    assert "reg.example was asked without a login, of which docker knows none for it" in told
    assert "`docker login reg.example`" in told
    docker_configuration(scripts, auths={"reg.example": {"auth": base64.b64encode(b"you:hush").decode()}})
    assert "reg.example was asked as 'you'." in deploy(scripts, flow, OWN, code=1)
    assert not is_deployed(scripts, flow)
    docker_configuration(scripts, auths={"reg.example": {"auth": base64.b64encode(b"me:hush").decode()}})
    deploy(scripts, flow, OWN)
    assert [login for _, login in engine.images.pushes] == [None, "you", "me"]
    assert engine.images.builds[-1].logins == ["reg.example"], "for base images"
    assert is_deployed(scripts, flow)


HELPER = """#!/bin/sh
read registry
case "$1 $registry" in
  list*) echo '{"reg.example": "me"}' ;;
  "get reg.example") echo '{"ServerURL": "reg.example", "Username": "me", "Secret": "hush"}' ;;
  *) echo "credentials not found in native keychain"; exit 1 ;;
esac
"""


@pytest.mark.parametrize("settings", [{"credsStore": "safe"}, {"credHelpers": {"reg.example": "safe"}}])
def test_logins_are_asked_of_programs(
    scripts: Scripts, flow: str, engine: DockerEngine, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    engine.images.accounts["reg.example"] = "me:hush"
    docker_configuration(scripts, **settings)
    told = deploy(scripts, flow, OWN, code=1)
    assert "docker-credential-safe not installed" in told
    assert "install it, or take it out there" in told
    programs = scripts.folder / "home/programs"
    programs.mkdir(parents=True)
    (programs / "docker-credential-safe").write_text(HELPER)
    (programs / "docker-credential-safe").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    deploy(scripts, flow, OWN)
    deploy(scripts, flow, 'image=DockerImage("other.example/etl", "2", "own.Dockerfile")')
    assert engine.images.pushes == [("reg.example/etl:2", "me"), ("other.example/etl:2", None)]


def test_without_an_engine(scripts: Scripts, flow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    told = deploy(scripts, flow, 'image="etl"', code=1)
    assert "ConfigurationError: No Docker engine answers at unix:///nowhere/docker.sock" in told
    assert "No such file or directory. Start it, or set DOCKER_HOST" in told
    script = scripts.write("deploying", DEPLOY.format(flow=flow, arguments='image="etl"'))
    script.write_text('import sys\nsys.modules["docker"] = None\n' + script.read_text())
    assert "pip install 'sempre[docker]'" in scripts.run(script, code=1)
    assert not is_deployed(scripts, flow)


def test_a_large_context_is_not_held_in_memory(scripts: Scripts, flow: str, engine: DockerEngine) -> None:
    with (scripts.folder / "model.bin").open("wb") as file:
        file.truncate(300 << 20)
    script = scripts.write("deploying", DEPLOY.format(flow=flow, arguments='image="etl"'))
    # Its own, by the kernel: what getrusage() tells begins with the peak of whoever started the process.
    script.write_text(
        script.read_text() + "print('PEAK', open('/proc/self/status').read().split('VmHWM:')[1].split()[0])\n"
    )
    output = scripts.run(script)
    assert engine.images.builds[0].sizes["model.bin"] == 300 << 20
    assert int(output.rpartition("PEAK ")[2]) < 250 << 10  # KiB


def test_progress_on_a_terminal(scripts: Scripts, flow: str, engine: DockerEngine) -> None:
    script = scripts.write("deploying", DEPLOY.format(flow=flow, arguments=OWN))
    ours, theirs = pty.openpty()
    environment = {**scripts.environment, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen([sys.executable, str(script)], cwd=scripts.folder, env=environment, stdout=theirs) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 1 << 16)
            except OSError:  # the end, on Linux
                break
            if not piece:
                break
            shown += piece
    os.close(ours)
    assert process.returncode == 0
    text = shown.decode()
    assert "Step 2/2 : COPY . /code" in text
    assert re.search(r"5f70bf18a086 Push(ing|ed)", text)
    assert "\x1b[" in text, "what is drawn is drawn over"


PROJECT = """
name: images

build:
  - prefect_docker.deployments.steps.build_docker_image:
      id: build_image
      requires: prefect-docker>=0.3.1
      image_name: reg.example/etl
      tag: "{{{{ $IMAGE_TAG }}}}"
      dockerfile: auto
      additional_tags: [stable]
      platform: linux/amd64

push:
  - sempre.deployments.steps.push_docker_image:
      image_name: "{{{{ build_image.image_name }}}}"
      tag: "{{{{ build_image.tag }}}}"
      additional_tags: "{{{{ build_image.additional_tags }}}}"
      credentials: "{{{{ prefect.blocks.registry-login.mine }}}}"

pull:
  - sempre.deployments.steps.set_working_directory:
      directory: "/code/{{{{ build_image.tag }}}}"

deployments:
  - name: one
    entrypoint: {flow}.py:{flow}
    work_pool: &pool
      name: {flow}-pool
      job_variables:
        image: "{{{{ build_image.image }}}}"
        env: {{ID: "{{{{ build_image.image_id }}}}"}}
  - name: two
    entrypoint: {flow}.py:{flow}
    work_pool: *pool
    build: &own
      - sempre.deployments.steps.build_docker_image:
          id: build_image
          image_name: other.example/etl
          dockerfile: {dockerfile}
    push: &pushed
      - sempre.deployments.steps.push_docker_image:
          image_name: "{{{{ build_image.image_name }}}}"
          tag: "{{{{ build_image.tag }}}}"
  - name: three
    entrypoint: {flow}.py:{flow}
    work_pool: *pool
    build: *own
    push: *pushed
"""
LOGIN = """
from pydantic import SecretStr
from sempre.blocks.core import Block


class RegistryLogin(Block):
    _block_type_slug = "registry-login"
    username: str
    password: SecretStr
    registry_url: str


RegistryLogin(username="me", password="hush", registry_url="reg.example").save("mine", overwrite=True)
"""


def test_a_project_builds_and_pushes(
    scripts: Scripts, flow: str, engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.images.accounts["reg.example"] = "me:hush"
    monkeypatch.setenv("IMAGE_TAG", "v9")
    scripts.run(scripts.write("login", LOGIN))
    (scripts.folder / "sempre.yaml").write_text(PROJECT.format(flow=flow, dockerfile="own.Dockerfile"))
    told = json.loads(sempre(scripts, "deploy", "--all", "-o", "json", at=scripts.folder))
    assert [each["name"] for each in told] == [f"{flow}/{name}" for name in ("one", "two", "three")]
    one, two, three = (deployment(scripts, flow, name) for name in ("one", "two", "three"))
    assert one["job_variables"] == {
        "image": "reg.example/etl:v9",
        "env": {"ID": engine.images.here["reg.example/etl:v9"]},
    }
    (step,) = one["pull_steps"]
    assert step["sempre.deployments.steps.set_working_directory"] == {"directory": "/code/v9"}
    assert two["job_variables"] == three["job_variables"], "the same steps are run once"
    assert [build.query["t"] for build in engine.images.builds] == ["reg.example/etl:v9", two["job_variables"]["image"]]
    assert engine.images.pushes == [
        ("reg.example/etl:v9", "me"), ("reg.example/etl:stable", "me"), (two["job_variables"]["image"], None),
    ]  # fmt: skip
    output = sempre(scripts, "deploy", "-n", "two", at=scripts.folder)
    assert "Build: build_docker_image\nStep 1/2 : FROM scratch\n" in output


def test_steps_say_that_there_is_no_engine(
    scripts: Scripts, flow: str, engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    (scripts.folder / "sempre.yaml").write_text(PROJECT.format(flow=flow, dockerfile="own.Dockerfile"))
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    told = sempre(scripts, "deploy", "-n", "two", "-o", "json", at=scripts.folder, code=1)
    assert "The step build_docker_image failed: No Docker engine answers at tcp://127.0.0.1:1" in told
    assert "Connection refused. Start it, or set DOCKER_HOST" in told
    assert not is_deployed(scripts, flow, "two")


def test_a_project_whose_build_fails_deploys_nothing(scripts: Scripts, flow: str, engine: DockerEngine) -> None:
    (scripts.folder / "sempre.yaml").write_text(PROJECT.format(flow=flow, dockerfile="bad.Dockerfile"))
    told = sempre(scripts, "deploy", "-n", "two", at=scripts.folder, code=1)
    assert "The step build_docker_image failed: The image other.example/etl:" in told
    assert "Step 2/3 : RUN exit 3 Nothing was pushed or deployed" in told
    assert engine.images.pushes == []
    assert not is_deployed(scripts, flow, "two")
