"""The images themselves: built by a real Docker engine, run in real containers as operators and charts run them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any

import pytest

from sempre import __version__
from tests.images.container import CHARTS
from tests.support.database import Database, Postgres
from tests.support.net import LOOPBACK, answers, free_port
from tests.support.real_image import Built, image_of, ready, told
from tests.support.runs import Runs, open_api

pytestmark = pytest.mark.image

SERVER, WORKER = image_of("server"), image_of("worker")
ANY_USER = "1000720000:0"  # as OpenShift gives them out: known to nobody, of group 0
OWNERS = "SELECT DISTINCT owner FROM service WHERE owner IS NOT NULL"
AS_CHARTS = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges"]}


def test_what_is_in_them(images: Built) -> None:
    look = (
        "id -u; pwd; echo $HOME; readlink -f /bin/sh /opt/prefect/entrypoint.sh; command -v curl git uv sempre prefect;"
        "sempre --version; prefect --version; tr '\\0' ' ' < /proc/1/cmdline | cut -d' ' -f-4"
    )
    programs = ["/usr/bin/curl", "/usr/bin/git", *(f"/usr/local/bin/{name}" for name in ("uv", "sempre", "prefect"))]
    for image, place in ((SERVER, "/opt/sempre"), (WORKER, "/home/prefect")):
        assert images.run(image, "sh", "-c", look).split("\n") == [
            "1001", place, "/home/prefect", "/usr/bin/bash", "/opt/sempre/entrypoint.sh", *programs,
            __version__, __version__, "/usr/bin/tini -g -- /opt/sempre/entrypoint.sh", "",
        ]  # fmt: skip
        about = images.client.images.get(image).attrs
        assert about["Config"]["User"] == "1001:1001"
        assert about["Config"]["Labels"]["org.opencontainers.image.version"] == __version__
        assert about["Size"] < 1_000_000_000
    assert images.run(WORKER, "python3", "-c", "import aiodocker") == ""


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"user": ANY_USER},
        {**AS_CHARTS, "tmpfs": {"/tmp": "", "/home/prefect": "uid=1001"}},
        {"user": "0"},
    ],
    ids=["as it is", "any user", "read-only", "root"],
)  # fmt: skip
def test_solo(images: Built, options: dict[str, Any]) -> None:
    port = str(free_port())
    command = ("prefect", "server", "start", "--host", LOOPBACK, "--port", port)
    container = images.start(SERVER, *command, **options)
    address = f"http://{LOOPBACK}:{port}/api"
    for known in ([], [] if "tmpfs" in options else ["kept"]):
        container.start()  # nothing, where it runs
        ready(container, lambda: answers(f"{address}/ready"), "the server is ready")
        with open_api(f"{address}/") as api:
            runs = Runs(api)
            assert [flow["name"] for flow in runs.post("flows/filter")] == known
            runs.post("flows/", {"name": "kept"})
        assert images.stop(container) == 0, told(container)


@pytest.fixture
def empty(postgres: Postgres) -> Iterator[Database]:
    created = postgres.create()
    yield created
    postgres.drop(created)


@pytest.mark.parametrize("user", ["1001:1001", ANY_USER])
def test_the_commands_of_charts(images: Built, empty: Database, user: str) -> None:
    ports = {name: str(free_port()) for name in ("PORT", "HEALTH_PORT", "REDIS_PORT")}  # no Redis listens
    values = {**ports, "DATABASE_URL": empty.sqlalchemy_url, "REDIS_HOST": LOOPBACK, "UI_BUILD": "/ui_build"}
    # Not the directory, which others may not enter.
    sockets = [f"{path}:{path}" for path in Path(empty.socket_dir).glob(".s.PGSQL.*[0-9]")]

    def start(name: str) -> Any:
        recorded = json.loads(Template(json.dumps(CHARTS[name])).substitute(values))
        writable = {path: f"uid={user.partition(':')[0]}" for path in recorded["writable"]}
        return images.start(
            SERVER, *recorded["args"], entrypoint=recorded["command"], environment=recorded["env"], user=user,
            tmpfs=writable, volumes=sockets, **AS_CHARTS,
        )  # fmt: skip

    migration = start("database-migrations")
    assert migration.wait(timeout=120)["StatusCode"] == 0, told(migration)
    containers = [start("server")]
    with open_api(f"http://{LOOPBACK}:{values['PORT']}/api/") as api:
        api.auth = ("admin", "pass")
        runs = Runs(api)
        ready(containers[0], lambda: answers(f"{api.base_url}ready"), "the server is ready")
        containers += [start("background-services"), start("worker")]
        ready(containers[1], lambda: empty.fetch(OWNERS), "somebody runs the services")
        ready(containers[2], lambda: runs.post("work_pools/chart-pool/workers/filter"), "the server knows the worker")
        ready(containers[2], lambda: answers(f"http://{LOOPBACK}:{values['HEALTH_PORT']}/health"), "it is healthy")
        codes = [images.stop(container) for container in reversed(containers)]
    assert codes == [0, 0, 0], "\n".join(told(container) for container in containers)


def test_packages_are_installed_at_the_start(images: Built) -> None:
    for user in ("1001:1001", ANY_USER):
        packages = {"EXTRA_PIP_PACKAGES": "iniconfig"}
        script = "import iniconfig; print(iniconfig.__file__)"
        said = images.run(SERVER, "python3", "-c", script, environment=packages, user=user)
        assert "/home/prefect/.local/lib/" in said.splitlines()[-1]
