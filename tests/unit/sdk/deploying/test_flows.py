"""Deployments of flows before anything is sent, and images before anything is built."""

from __future__ import annotations

import asyncio
import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sempre import Flow, aserve, flow
from sempre.blocks.core import Block
from sempre.deployments.runner import RunnerDeployment
from sempre.deployments.steps import push_to_remote_storage
from sempre.docker import DockerImage
from sempre.runner.storage import LocalStorage, RemoteStorage
from sempre.sdk.deploying.applying import deployment_body
from sempre.sdk.deploying.docker_progress import EngineLines
from sempre.sdk.deploying.images import dockerfile
from sempre.sdk.deploying.project.file import read_project_file
from sempre.sdk.deploying.storages import GitRepository, storage_from
from sempre.sdk.errors import ConfigurationError, ParameterTypeError
from sempre.types.entrypoint import EntrypointType

ROOT = Path(__file__).parents[4]


@flow
def here(x: int = 1, *, y: str = "a") -> None:
    """Does nothing."""


renamed = here.with_options(name="renamed")


def test_entrypoints_name_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = Path(__file__)
    monkeypatch.chdir(file.parent)
    assert here.to_deployment("a").entrypoint == "test_flows.py:here"
    assert renamed.to_deployment("a").entrypoint == "test_flows.py:renamed"
    by_module = here.to_deployment("a", entrypoint_type="module_path")
    assert by_module.entrypoint == f"{__name__}:here"
    assert by_module.entrypoint_type is EntrypointType.MODULE_PATH
    monkeypatch.chdir(tmp_path)
    assert here.to_deployment("a").entrypoint == f"{file.as_posix()}:here"

    @flow
    def inner() -> None: ...

    with pytest.raises(ConfigurationError, match="inside of a function"):
        inner.to_deployment("a")


def test_what_is_sent() -> None:
    made = here.to_deployment("a", parameters={"x": 2}, interval=60, tags=["b", "a"], version="7")
    body = deployment_body(made, "pool", "image:1")
    assert (body["version"], body["tags"], body["parameters"]) == ("7", ["a", "b"], {"x": 2})
    assert (body["work_pool_name"], body["job_variables"], body["path"]) == ("pool", {"image": "image:1"}, None)
    assert body["description"] == "Does nothing."
    assert "paused" not in body
    assert made.full_name == "here/a"
    assert "version_info" not in body
    typed = deployment_body(here.to_deployment("a", version="7", version_type="vcs:git"))
    assert typed["version_info"] == {"type": "vcs:git", "version": "7"}
    served = deployment_body(made)
    assert (served["work_pool_name"], served["pull_steps"], served["path"]) == (None, [], ".")


def test_slips_are_told() -> None:
    with pytest.raises(ParameterTypeError, match="no parameter 'z'; it takes x, y"):
        here.to_deployment("a", parameters={"z": 1})
    assert here.to_deployment("a", parameters={"z": 1}, enforce_parameter_schema=False).parameters == {"z": 1}
    with pytest.raises(ConfigurationError, match="cannot be called"):
        here.to_deployment("a/b")


async def test_in_coroutines_it_can_be_awaited() -> None:
    assert (await here.ato_deployment("a")).name == "a"
    again: Any = here.to_deployment("a")
    assert asyncio.iscoroutine(again)
    assert isinstance(await again, RunnerDeployment)


async def test_serving_does_not_stop_a_loop() -> None:
    with pytest.raises(ConfigurationError, match="await aserve"):
        here.serve("a")
    with pytest.raises(ConfigurationError, match="Say which"):
        await aserve()


def test_flows_from_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows/one.py").write_text("from sempre import flow\n@flow\ndef one():\n    return 1\n")
    monkeypatch.setattr(sys, "path", [*sys.path])
    found: Flow[Any, Any] = flow.from_source(str(tmp_path), "flows/one.py:one")
    made = found.to_deployment("a")
    assert made.entrypoint == "flows/one.py:one"
    assert isinstance(made.storage, LocalStorage)
    assert deployment_body(made, "pool")["pull_steps"] == [
        {"sempre.deployments.steps.set_working_directory": {"directory": str(tmp_path)}}
    ]
    assert found.with_options(retries=1).to_deployment("a").entrypoint == "flows/one.py:one"


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("https://github.com/a/b.git", GitRepository),
        ("https://github.com/a/b", GitRepository),
        ("git@github.com:a/b.git", GitRepository),
        ("s3://bucket/flows", RemoteStorage),
        ("/srv/flows", LocalStorage),
        ("file:///srv/flows", LocalStorage),
        (Path("flows"), LocalStorage),
    ],
)
def test_what_sources_mean(source: Any, kind: type) -> None:
    assert type(storage_from(source)) is kind
    with pytest.raises(ConfigurationError, match="no place"):
        storage_from(3)


def test_files_of_a_remote_storage(tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    bucket = tmp_path / "bucket"
    (bucket / "flows").mkdir(parents=True)
    (bucket / "flows/one.py").write_text("1")
    storage = RemoteStorage(f"local://{bucket}", auto_mkdir=True)
    storage.set_base_path(tmp_path / "there")
    storage.pull_code()
    assert (storage.destination / "flows/one.py").read_text() == "1"
    (bucket / "flows/one.py").rename(bucket / "two.py")
    storage.pull_code()
    assert [path.name for path in storage.destination.rglob("*.py")] == ["two.py"]
    assert [path.name for path in (tmp_path / "there").iterdir()] == [storage.destination.name]
    with pytest.raises(ConfigurationError, match="nothing at"):
        RemoteStorage(f"local://{tmp_path}/none").pull_code()


@pytest.mark.parametrize(
    "settings",
    [
        {"secret": "s"},
        {"client_kwargs": {"aws_secret_access_key": "s"}},
        {"token": {"client_email": "a@b", "private_key": "s"}},
        {"account_key": "s"},
        {"connection_string": "AccountKey=s"},
        {"sas_token": "s"},
    ],
    ids=repr,
)
def test_credentials_of_a_remote_storage_are_not_deployed(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="for everybody to read"):
        RemoteStorage("s3://bucket/flows", **settings).to_pull_step()


def test_files_are_brought_to_a_storage(tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    for name in ("flows/one.py", "flows/one.pyc", "data/big.csv", "data/small.csv", ".git/config", "notes/a/b.md"):
        path = tmp_path / "here" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "here/.sempreignore").write_text("# not these\nbig.*\nnotes/*\n.sempreignore\n")
    told = push_to_remote_storage(f"local://{tmp_path}/there", directory=str(tmp_path / "here"))
    there = {path.relative_to(tmp_path / "there").as_posix() for path in (tmp_path / "there").rglob("*.*")}
    assert there == {"flows/one.py", "data/small.csv"}
    assert told["count"] == 2


class LocalFileSystem(Block):
    basepath: str

    _block_type_slug = "local-file-system"


def test_files_of_a_storage_block(tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    (tmp_path / "kept/flows").mkdir(parents=True)
    (tmp_path / "kept/flows/one.py").write_text("1")
    block = LocalFileSystem(basepath=str(tmp_path / "kept"))
    storage = storage_from(block)
    storage.set_base_path(tmp_path / "there")
    storage.pull_code()
    assert (storage.destination / "flows/one.py").read_text() == "1"
    with pytest.raises(ConfigurationError, match="saved"):
        storage.to_pull_step()
    block._block_document_name = "mine"
    assert storage.to_pull_step() == {
        "sempre.deployments.steps.pull_with_block": {
            "block_type_slug": "local-file-system",
            "block_document_name": "mine",
        }
    }


def test_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    image = DockerImage("registry.example.org:5000/etl:1")
    assert (image.name, image.tag, image.reference) == (
        "registry.example.org:5000/etl",
        "1",
        "registry.example.org:5000/etl:1",
    )
    assert DockerImage("registry.example.org:5000/etl").tag.startswith("20")
    assert image.code_path == f"/opt/sempre/{tmp_path.name}"
    assert DockerImage("etl", dockerfile="Dockerfile").code_path is None
    with pytest.raises(ConfigurationError, match="tag already"):
        DockerImage("etl:1", tag="2")


def test_where_code_lies_in_an_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entrypoints are told from the working directory, whichever directory is packed."""
    odd = tmp_path / "my flows $HOME"
    odd.mkdir()
    (odd / "requirements.txt").write_text("")
    monkeypatch.chdir(odd)
    lines = dockerfile(odd).splitlines()
    assert lines[0].startswith("FROM python:3.")
    assert "COPY requirements.txt /opt/sempre/my-flows-HOME/requirements.txt" in lines
    assert lines[-1] == "WORKDIR /opt/sempre/my-flows-HOME/"
    assert DockerImage("etl", path="..").code_path == f"/opt/sempre/{tmp_path.name}/my flows $HOME"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="Rename it"):
        dockerfile(odd)
    below = tmp_path / "flows" / "etl"
    assert dockerfile(below).splitlines()[-1] == f"WORKDIR /opt/sempre/{tmp_path.name}/flows/etl/"
    assert DockerImage("etl", path="flows/etl").code_path == f"/opt/sempre/{tmp_path.name}"
    assert DockerImage("etl", path="/usr").code_path == "/opt/sempre/usr"


def test_lines_of_an_engine_come_in_pieces() -> None:
    lines = EngineLines()
    events: list[dict[str, Any]] = [
        {"stream": "Step 1/2 : FROM a"}, {"stream": "\n"}, {"stream": " 10%\r 20%\r\nDone"},
        {"status": "Pulling", "id": "1"}, {"aux": {"ID": "sha256:1"}}, {"status": "Pushing [etl]"},
        {"errorDetail": {"message": "no"}},
    ]  # fmt: skip
    assert [lines.of(event) for event in events] == [
        [], ["Step 1/2 : FROM a"], [" 10%", " 20%"], [], [], ["Pushing [etl]"], ["Done"],
    ]  # fmt: skip


def test_service_levels_are_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "sempre.yaml"
    path.write_text("deployments:\n- {name: a, entrypoint: 'f.py:f', sla: {}}\n")
    from_here = LocalStorage(Path(__file__).parent)
    refused: dict[str, Any] = {"_sla": [{"name": "fast"}]}
    calls: list[Callable[[], Any]] = [
        lambda: here.to_deployment("a", **refused),
        lambda: here.deploy("a", work_pool_name="pool", **refused),
        lambda: here.serve("a", **refused),
        lambda: RunnerDeployment.from_flow(here, "a", **refused),
        lambda: RunnerDeployment.from_entrypoint(f"{__file__}:here", "a", **refused),
        lambda: RunnerDeployment.from_storage(from_here, "test_flows.py:here", "a", **refused),
        lambda: read_project_file(path),
    ]
    for call in calls:
        with pytest.raises(ConfigurationError, match=r"agreements are not kept here\. An automation tells"):
            call()
    assert here.to_deployment("a", **{**refused, "_sla": None}).name == "a"


def test_the_examples_of_the_page(tmp_path: Path) -> None:
    """Its code is loaded as a module; what stands below `__main__` serves and deploys, which other tests do."""
    text = (ROOT / "docs/deploying.md").read_text()
    blocks = [part.partition("```")[0] for part in re.split(r"```python[^\n]*\n", text)[1:]]
    assert len(blocks) >= 5
    for number, block in enumerate(blocks):
        path = tmp_path / f"example_{number}.py"
        path.write_text(block)
        values = runpy.run_path(str(path), run_name="example")
        assert any(isinstance(value, Flow) for value in values.values()) or "from_source" in block
    (project,) = (part.partition("```")[0] for part in text.split("```yaml\n")[1:])
    (tmp_path / "sempre.yaml").write_text(project)
    assert [each["name"] for each in read_project_file(tmp_path / "sempre.yaml").deployments] == ["nightly"]
