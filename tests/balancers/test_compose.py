"""The compose file: valid, and every command of ours in it runs with its environment, outside of containers."""

from __future__ import annotations

import importlib.resources
import json
import os
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import yaml

from tests.balancers.balancers import DEPLOY, NobodyThere
from tests.support.database import Database, Postgres
from tests.support.net import answers, free_port
from tests.support.prefect_env import ROOT, base_environment, interpreter
from tests.support.processes import ManagedProcess
from tests.support.servers import SEMPRE

pytestmark = pytest.mark.balancers

FILE = DEPLOY / "compose" / "compose.yaml"
Json = dict[str, Any]


def _file(path: Path = FILE, environment: dict[str, str] | None = None) -> Json:
    """The file as the engine reads it: `${NAME:-default}` is the variable, or the default."""

    def value(match: re.Match[str]) -> str:
        return (environment or {}).get(match[1]) or match[2]

    composed: Json = yaml.safe_load(re.sub(r"\$\{(\w+):-([^}]*)\}", value, path.read_text()))
    return composed


def _orchestra() -> dict[str, str]:
    lines = (FILE.parent / "orchestra.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def _seconds(text: str) -> int:
    match = re.fullmatch(r"(\d+)s", text)
    assert match, text
    return int(match[1])


@pytest.fixture(scope="module")
def services() -> dict[str, Json]:
    found: dict[str, Json] = _file(environment=_orchestra())["services"]
    return found


@pytest.fixture
def empty(postgres: Postgres) -> Iterator[Database]:
    created = postgres.create()
    yield created
    postgres.drop(created)


@pytest.mark.parametrize("path", [FILE, FILE.parent / "solo.yaml"], ids=lambda path: path.name)
def test_the_file_is_as_the_specification_wants_it(path: Path) -> None:
    schemas = importlib.resources.files("check_jsonschema") / "builtin_schemas" / "vendor"
    schema = json.loads((schemas / "compose-spec.json").read_text())
    validator = jsonschema.validators.validator_for(schema)(schema)
    assert [error.message for error in validator.iter_errors(_file(path))] == []


def test_redis_is_used_by_all_or_none(services: dict[str, Json]) -> None:
    plain = _file()["services"]
    assert _orchestra()["COMPOSE_PROFILES"] in plain["redis"]["profiles"]
    for name, service in plain.items():
        if service["image"] == "sempre:latest":
            assert not any("redis://" in str(value) for value in service["environment"].values()), name
            assert sum("redis://redis" in str(value) for value in services[name]["environment"].values()) == 2, name


def test_it_is_the_whole_ensemble(services: dict[str, Json]) -> None:
    ours = {name: service for name, service in services.items() if service["image"] == "sempre:latest"}
    assert set(ours) == {"migrate", "api-1", "api-2", "api-3", "services-1", "services-2"}
    assert set(services) - set(ours) == {"postgres", "redis", "nginx", "worker"}
    assert len({json.dumps(service["environment"], sort_keys=True) for service in ours.values()}) == 1
    for name, service in services.items():
        if name != "migrate":
            assert "healthcheck" in service, name
    for name, service in ours.items():
        if name == "migrate":
            continue
        assert service["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
        environment = service["environment"]
        stopping = sum(float(environment[f"SEMPRE_SERVER_API_SHUTDOWN_{part}_SECONDS"]) for part in ("DRAIN", "GRACE"))
        assert _seconds(service["stop_grace_period"]) > stopping
    # Every file that the balancer is given is there, and the balancer's servers are these.
    mounts = [volume.split(":")[0] for volume in services["nginx"]["volumes"]]
    assert all((FILE.parent / mount).is_file() for mount in mounts)
    named = set(re.findall(r"server (api-\d):4200", (DEPLOY / "nginx" / "nginx.conf").read_text()))
    assert named == {name for name in ours if name.startswith("api-")}


class Solo:
    """The service of solo.yaml as a process, with its volume in a directory."""

    def __init__(self, workdir: Path) -> None:
        self.port, self.workdir = free_port(), workdir
        self.service: Json = _file(FILE.parent / "solo.yaml")["services"]["sempre"]

    def start(self) -> ManagedProcess:
        program, *arguments = self.service["command"]
        assert program == "sempre"
        base = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "SEMPRE_"))}
        given = {key: value or "" for key, value in self.service["environment"].items()}  # as compose leaves them empty
        env = {**given, "SEMPRE_HOME": str(self.workdir / "data"), "PYTHONPATH": str(ROOT)}
        argv = [*SEMPRE, *(each.replace("4200", str(self.port)) for each in arguments)]
        return ManagedProcess.start("solo", argv, log_dir=self.workdir, env={**base, **env}, cwd=self.workdir)


def test_solo_keeps_everything_in_its_volume(workdir: Path) -> None:
    solo = Solo(workdir)
    (volume,) = solo.service["volumes"]
    assert volume.split(":")[1] == solo.service["environment"]["SEMPRE_HOME"]
    for _ in range(2):  # the second one finds what the first one left
        process = solo.start()
        url = f"http://127.0.0.1:{solo.port}/api"
        process.wait_for(lambda: answers(f"{url}/ready"), f"is ready at {url}")  # noqa: B023
        with httpx.Client(base_url=url) as http:
            found = int(http.post("/flows/count", json={}).raise_for_status().text)
            http.post("/flows/", json={"name": "kept"}).raise_for_status()
        assert process.terminate(_seconds(solo.service["stop_grace_period"])) == 0, process.tail()
    assert found == 1


class Machine:
    """Runs a service of the file as a process: other addresses, and our command for the one in the image."""

    def __init__(self, services: dict[str, Json], database: Database, redis_port: int, workdir: Path) -> None:
        self.services = services
        self.workdir = workdir
        self.port, self.health_port = free_port(), free_port()
        self._addresses = {
            "postgresql://sempre:sempre@postgres:5432/sempre": database.url,
            "redis://redis:6379": f"redis://127.0.0.1:{redis_port}",
            "http://nginx:4200": f"http://127.0.0.1:{self.port}",
            "4200": str(self.port),
            "4201": str(self.health_port),
        }

    def _here(self, text: str) -> str:
        for there, here in self._addresses.items():
            if there in text:
                return text.replace(there, here)
        return text

    def start(self, name: str) -> ManagedProcess:
        program, *arguments = (self._here(part) for part in self.services[name]["command"])
        argv = {"sempre": [*SEMPRE], "prefect": [str(interpreter()), "-m", "prefect"]}[program] + arguments
        home = self.workdir / name
        home.mkdir()
        if program == "sempre":
            own = {"SEMPRE_HOME": str(home), "PYTHONPATH": str(ROOT)}
            base = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "SEMPRE_"))}
        else:
            own, base = {"PREFECT_WORKER_WEBSERVER_PORT": str(self.health_port)}, base_environment(home)
        composed = {key: self._here(value or "") for key, value in self.services[name]["environment"].items()}
        return ManagedProcess.start(name, argv, log_dir=self.workdir, env={**base, **own, **composed}, cwd=home)

    def check(self, name: str) -> str:
        """The address that the health check of a service asks."""
        last = self.services[name]["healthcheck"]["test"][-1]
        found = re.search(r"http://[\w.:/]+", last)
        assert found, last
        return self._here(found[0])


def test_every_command_of_ours_runs(services: dict[str, Json], empty: Database, workdir: Path) -> None:
    with NobodyThere() as redis:  # so that Redis is seen to be needed by none of them
        machine = Machine(services, empty, redis.port, workdir)
        migrate = machine.start("migrate")
        assert migrate.wait(60) == 0, migrate.tail()
        running = {name: machine.start(name) for name in ("api-1", "services-1")}
        try:
            for name, process in running.items():
                url = machine.check(name)
                process.wait_for(lambda url=url: answers(url), f"is healthy at {url}")  # type: ignore[misc]
            with urllib.request.urlopen(f"http://127.0.0.1:{machine.port}/api/admin/version") as response:
                assert response.status == 200
            running["worker"] = machine.start("worker")
            running["worker"].wait_for_output("started!")
        finally:
            for name, process in reversed(running.items()):
                grace = _seconds(services[name]["stop_grace_period"])
                code = process.terminate(grace)
                assert code == 0, process.tail()
