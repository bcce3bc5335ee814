"""Runs as Docker containers: from their creation to their end, through everything that breaks in between."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sempre.client import Client
from sempre.settings import ClientSettings
from sempre.workers.base import Found, InfrastructureError, NotStartedNow
from sempre.workers.docker.infrastructure import DockerInfrastructure
from tests.integration.infrastructure.runs import events, until
from tests.support.docker_engine import DockerEngine, open_docker_engine
from tests.support.jobs import job

IMAGE = {"image": "flows:1"}


@pytest.fixture
async def engine(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DockerEngine]:
    with tempfile.TemporaryDirectory() as folder:  # paths of sockets must be short
        async with open_docker_engine(Path(folder)) as opened:
            opened.images.add("flows:1")
            monkeypatch.setenv("DOCKER_HOST", opened.address)
            for module in ("infrastructure", "output"):
                monkeypatch.setattr(f"sempre.workers.docker.{module}.PAUSE_SECONDS", 0.02)
            yield opened


@asynccontextmanager
async def worker(settings: ClientSettings, name: str = "Worker 1") -> AsyncIterator[DockerInfrastructure]:
    opened = DockerInfrastructure(worker_name=name, work_pool_name="pool", settings=settings)
    await opened.open()
    try:
        yield opened
    finally:
        await opened.close()


class Killed(BaseException):
    """The worker is not any more."""


async def killed(*_: object, **__: object) -> bool:
    raise Killed


async def test_a_run_from_its_start_to_its_end(
    engine: DockerEngine, settings: ClientSettings, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.networks |= {"one", "two"}
    of = job("docker", {**IMAGE, "networks": ["one", "two"]})
    async with worker(settings) as infrastructure:
        identifier = await infrastructure.start(of)
        container = engine.only()
        assert (identifier, container.status) == (f"{engine.address}:{container.id}", "running")
        assert container.networks == ["one", "two"]
        watching = asyncio.create_task(infrastructure.watch(of, identifier))
        await engine.print(container, "hello")
        await until(lambda: capsys.readouterr().out, lambda text: text == "hello\n")
        await engine.break_streams()
        await engine.print(container, "from inside")
        await until(lambda: capsys.readouterr().out, lambda text: text == "from inside\n")
        assert not watching.done()
        await engine.print(container, "bye")
        await engine.exit(container, 3)
        assert await watching == 3
        assert capsys.readouterr().out == "bye\n"
    resource = f"prefect.docker.container.{container.id}"
    told = [f"prefect.docker.container.{status}" for status in ("created", "running", "exited")]
    assert await until(lambda: events(client, resource), lambda seen: len(seen) == 3) == told


async def test_a_lost_answer_makes_no_second_container(engine: DockerEngine, settings: ClientSettings) -> None:
    of = job("docker", IMAGE)
    async with worker(settings) as infrastructure:
        engine.drops = ["/containers/create$", "/start$"]
        identifier = await infrastructure.start(of)
        assert identifier.endswith(engine.only().id)
        # The name is another's now.
        await infrastructure.start(of)
        await infrastructure.start(of)
        assert [container.name for container in engine.containers.values()] == [
            "brave-fox", "brave-fox-1", "brave-fox-2",
        ]  # fmt: skip


@pytest.mark.parametrize("lands", ["in time", "too late"])
async def test_a_start_that_is_on_its_way_is_decided(
    engine: DockerEngine, settings: ClientSettings, lands: str
) -> None:
    of = job("docker", IMAGE)
    engine.late = {"POST .*/start$": "DELETE" if lands == "in time" else "never"}
    async with worker(settings) as infrastructure:
        if lands == "in time":  # it was seen as not started, and cannot be removed
            identifier = await infrastructure.start(of)
        else:
            with pytest.raises(NotStartedNow):
                await infrastructure.start(of)
            await engine.land()
            assert engine.containers == {}
            identifier = await infrastructure.start(of)
        assert (engine.only().status, identifier.rpartition(":")[2]) == ("running", engine.only().id)


@pytest.mark.parametrize("lands", ["in time", "too late"])
async def test_a_worker_that_died_while_it_started_a_container(
    engine: DockerEngine, settings: ClientSettings, lands: str
) -> None:
    of = job("docker", IMAGE)
    engine.late = {"POST .*/start$": "DELETE" if lands == "in time" else "never"}
    async with worker(settings) as dying:
        dying._has_begun = killed  # type: ignore[method-assign]
        with pytest.raises(Killed):
            await dying.start(of)
    async with worker(settings) as again:
        found = await again.find()
        await engine.land()
    if lands == "in time":
        identifier = f"{engine.address}:{engine.only().id}"
        assert (engine.only().status, found) == (
            "running", [Found(flow_run_id=of.flow_run_id, identifier=identifier)],
        )  # fmt: skip
    else:
        assert (engine.containers, found) == ({}, [])


@pytest.mark.parametrize(("auto_remove", "code"), [(False, 1), (True, None)])
async def test_what_has_run_is_not_started_again(
    engine: DockerEngine, settings: ClientSettings, auto_remove: bool, code: int | None
) -> None:
    of = job("docker", {**IMAGE, "command": "brief", "auto_remove": auto_remove})
    async with worker(settings) as infrastructure:
        engine.drops = ["/start$"]
        assert await infrastructure.watch(of, await infrastructure.start(of)) == code


async def test_images(engine: DockerEngine, settings: ClientSettings) -> None:
    engine.images.registry = {"new:1": None, "reg.example/private:2": "me:hush", "flows:latest": None}

    async def start(image: str, policy: str | None = None, **more: object) -> None:
        await infrastructure.start(job("docker", {"image": image, "image_pull_policy": policy, **more}))

    async with worker(settings) as infrastructure:
        await start("new:1")
        await start("new:1", "IfNotPresent")
        await start("flows")
        assert engine.images.pulls == ["new:1", "flows:latest"]
        await start("flows:1", "IfPossible")  # not to be had, but here
        with pytest.raises(InfrastructureError, match="pull access denied"):
            await start("flows:1", "Always")
        with pytest.raises(InfrastructureError, match="No such image"):
            await start("other:1", "Never")
        credentials = {"username": "me", "password": "hush", "registry_url": "reg.example"}
        with pytest.raises(InfrastructureError, match="could not be pulled"):
            await start("reg.example/private:2")
        await start("reg.example/private:2", registry_credentials=credentials)


async def test_what_cannot_start_leaves_nothing_behind(engine: DockerEngine, settings: ClientSettings) -> None:
    async with worker(settings) as infrastructure:
        with pytest.raises(InfrastructureError, match="executable file not found"):
            await infrastructure.start(job("docker", {**IMAGE, "command": "missing"}))
        with pytest.raises(InfrastructureError, match="network nowhere not found"):
            await infrastructure.start(job("docker", {**IMAGE, "networks": ["one", "nowhere"]}))
        assert engine.containers == {}


async def test_a_worker_that_starts_again_finds_its_containers(
    engine: DockerEngine, settings: ClientSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    running, ended, old, removed = (
        job("docker", {**IMAGE, "auto_remove": last}) for last in (False, False, False, True)
    )
    async with worker(settings) as before, worker(settings, "Worker 2") as other:
        identifiers = [await before.start(of) for of in (running, ended, old, removed)]
        assert await other.find() == []
    containers = [engine.containers[identifier.rpartition(":")[2]] for identifier in identifiers]
    await engine.print(containers[0], "said before")
    await engine.exit(containers[1], 7)
    await engine.exit(containers[2], 0)
    containers[2].finished = "2026-01-01T00:00:00.000000000Z"
    await engine.exit(containers[3], 1)
    async with worker(settings) as again:
        found = await again.find()
        assert found == [
            Found(flow_run_id=of.flow_run_id, identifier=identifier)
            for of, identifier in zip((running, ended), identifiers[:2], strict=True)
        ]
        assert await again.watch(ended, identifiers[1]) == 7
        assert await again.watch(removed, identifiers[3]) is None
        watching = asyncio.create_task(again.watch(running, identifiers[0]))
        await engine.break_streams()
        await engine.exit(containers[0], 0)
        assert await watching == 0
    assert "said before" not in capsys.readouterr().out


async def test_killing(engine: DockerEngine, settings: ClientSettings) -> None:
    of = job("docker", IMAGE)
    async with worker(settings) as infrastructure, worker(settings, "Worker 2") as other:
        identifier = await infrastructure.start(of)
        container = engine.only()
        watching = asyncio.create_task(infrastructure.watch(of, identifier))
        await infrastructure.kill(of, identifier, 5)
        assert await watching == 143
        await infrastructure.kill(of, identifier, 5)
        assert engine.stops == [(container.id, 5)]
        second = await infrastructure.start(of)
        assert await other.clean_up(Found(flow_run_id=of.flow_run_id, identifier=second))
        assert engine.stops[1] == (second.rpartition(":")[2], 30)
        assert not await other.clean_up(Found(flow_run_id=job("docker").flow_run_id, identifier=second))
        assert not await other.clean_up(Found(flow_run_id=of.flow_run_id, identifier="tcp://elsewhere:2375:abc"))


async def test_without_an_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: ClientSettings) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    with pytest.raises(InfrastructureError, match="does not answer"):
        async with worker(settings):
            pass
