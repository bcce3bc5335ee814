"""Images built by a real Docker engine and pushed to a real registry, which the stand-in of the other tests is like."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.integration.sdk.conftest import Scripts, deployment
from tests.support import debian
from tests.support.real_docker import LOGIN, RealDocker, real_docker

docker = pytest.importorskip("docker")
pytestmark = pytest.mark.docker

FLOW = "from sempre import flow\n\n\n@flow(name='{name}')\ndef {name}():\n    return 1\n"
DEPLOY = """
import sys
from {flow} import {flow}
from sempre.docker import DockerImage

image = DockerImage("{registry}/team/{flow}", "2", sys.argv[1])
{flow}.deploy("d", work_pool_name="{flow}-pool", image=image)
print("ID", image.id)
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[RealDocker]:
    try:
        with real_docker() as started:
            yield started
    except debian.Unavailable as reason:
        pytest.skip(str(reason))


class Project:
    """A directory with a flow, and Dockerfiles in it and outside of it."""

    def __init__(self, scripts: Scripts, engine: RealDocker) -> None:
        self.scripts, self.engine = scripts, engine
        self.flow = f"flow_{scripts.folder.name}"
        scripts.post("/work_pools/", {"name": f"{self.flow}-pool", "type": "docker", "base_job_template": TEMPLATE})
        scripts.write(self.flow, FLOW.format(name=self.flow))
        self.script = scripts.write("deploying", DEPLOY.format(flow=self.flow, registry=engine.registry))
        files = {
            ".dockerignore": "*\n!flow_*.py\n", "secret.txt": "hush",
            "good.Dockerfile": "FROM scratch\nCOPY . /code/\n",
            "bad.Dockerfile": "FROM scratch\nCOPY nothing /code/\n", "odd.Dockerfile": "FRM scratch\n",
            "kit.Dockerfile": "FROM scratch\nRUN --mount=type=cache,target=/x true\n",
        }  # fmt: skip
        for name, text in files.items():
            (scripts.folder / name).write_text(text)

    def deploy(self, dockerfile: str, code: int = 0) -> str:
        configuration = str(self.scripts.folder / "docker")
        environment = {"DOCKER_HOST": self.engine.address, "DOCKER_CONFIG": configuration}
        return " ".join(self.scripts.run(self.script, dockerfile, code=code, **environment).split())

    def log_in(self) -> None:
        auth = base64.b64encode(":".join(LOGIN).encode()).decode()
        folder = self.scripts.folder / "docker"
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"auths": {self.engine.registry: {"auth": auth}}}))

    @property
    def is_deployed(self) -> bool:
        url = f"{self.scripts.server.api_url}/deployments/name/{self.flow}/d"
        return httpx.get(url).status_code == 200


TEMPLATE = {
    "variables": {"properties": {"image": {"type": "string"}}},
    "job_configuration": {"image": "{{ image }}"},
}


@pytest.fixture
def project(scripts: Scripts, engine: RealDocker) -> Project:
    return Project(scripts, engine)


def files_of(engine: RealDocker, image: str) -> set[str]:
    """The files in an image."""
    client = docker.DockerClient(engine.address)
    found: set[str] = set()
    with tarfile.open(fileobj=io.BytesIO(b"".join(client.images.get(image).save()))) as saved:
        for name in saved.getnames():
            if name.endswith("layer.tar") and (layer := saved.extractfile(name)):
                with tarfile.open(fileobj=layer) as files:
                    found |= {member.name for member in files if member.isfile()}
    client.close()
    return found


def test_an_image_is_built_and_pushed(project: Project, tmp_path: Path) -> None:
    told = project.deploy("good.Dockerfile", code=1)
    assert "no basic auth credentials" in told
    assert f"{project.engine.registry} was asked without a login" in told
    assert not project.is_deployed
    project.log_in()
    assert "The push refers to repository" in project.deploy("good.Dockerfile")
    assert project.engine.tags(f"team/{project.flow}") == ["2"]
    image = f"{project.engine.registry}/team/{project.flow}:2"
    assert deployment(project.scripts, project.flow, "d")["job_variables"] == {"image": image}
    assert files_of(project.engine, image) == {f"code/{project.flow}.py"}


def test_a_dockerfile_from_elsewhere_makes_the_same_image_again(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    project.log_in()
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "Dockerfile"
    elsewhere.write_text("FROM scratch\nCOPY . /code/\n")
    (project.scripts.folder / ".dockerignore").write_text("docker\nhome\n*.Dockerfile\n__pycache__\n")
    ids = {project.deploy(str(elsewhere)).rpartition("ID ")[2] for _ in range(2)}
    assert len(ids) == 1
    image = f"{project.engine.registry}/team/{project.flow}:2"
    wanted = {".dockerignore", "secret.txt", "deploying.py", f"{project.flow}.py"}
    assert files_of(project.engine, image) == {f"code/{name}" for name in wanted}


@pytest.mark.parametrize(
    ("dockerfile", "why"),
    [
        ("bad", "COPY failed: file not found in build context or excluded by .dockerignore"),
        ("odd", "unknown instruction: FRM"),
        ("kit", "BuildKit enabled Before that the engine said: Step 1/2 : FROM scratch"),
    ],
)
def test_what_cannot_be_built(project: Project, dockerfile: str, why: str) -> None:
    told = project.deploy(f"{dockerfile}.Dockerfile", code=1)
    assert f"The image {project.engine.registry}/team/{project.flow}:2 was not built: " in told
    assert why in told
    assert ("Build the image by `docker build`" in told) == (dockerfile == "kit")
    assert not project.is_deployed
    assert project.engine.tags(f"team/{project.flow}") == []
