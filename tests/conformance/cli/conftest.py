"""One server and one warm CLI for all files of this directory; every file begins with an empty server.

Starting both costs seconds, which is more than most of these files take.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import FLOWS, open_target
from tests.support.prefect_env import PrefectClient
from tests.support.runs import Runs, open_api
from tests.support.servers import Target
from tests.support.warm_cli import WarmCli

NOBODY = "00000000-0000-0000-0000-000000000000"
# What commands make, and the field by which it is deleted. Deployments and runs go with their flows.
KINDS = {
    "flows": "id",
    "work_pools": "name",
    "variables": "id",
    "artifacts": "id",
    "automations": "id",
    "block_documents": "id",
    "task_runs": "id",
    "concurrency_limits": "id",
    "v2/concurrency_limits": "id",
}


@pytest.fixture(scope="package")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="package")
def target(request: pytest.FixtureRequest, workdir: Path) -> Iterator[Target]:
    with open_target(request, workdir) as opened:
        yield opened


@pytest.fixture(scope="package")
def api(target: Target) -> Iterator[httpx.Client]:
    with open_api(target.api_url) as client:
        yield client


@pytest.fixture(scope="package")
def runs(api: httpx.Client) -> Runs:
    return Runs(api)


@pytest.fixture(scope="package")
def prefect(target: Target, workdir: Path) -> PrefectClient:
    return PrefectClient(target.api_url, workdir, FLOWS)


@pytest.fixture(scope="package")
def project(workdir: Path) -> Path:
    """Where the commands run, and find the files they are given."""
    directory = workdir / "project"
    directory.mkdir()
    return directory


@pytest.fixture(scope="package")
def cli(prefect: PrefectClient, project: Path) -> Iterator[WarmCli]:
    warm = WarmCli(prefect, project)
    yield warm
    warm.close()


@pytest.fixture(scope="module", autouse=True)
def nothing_left(runs: Runs) -> None:
    """Delete what other files left behind."""
    for kind, key in KINDS.items():
        for item in runs.post(f"/{kind}/filter", {}):
            runs.api.delete(f"/{kind}/{item[key]}").raise_for_status()
        assert runs.post(f"/{kind}/filter", {}) == [], kind


@pytest.fixture
def nobody() -> str:
    """An id that nothing has."""
    return NOBODY
