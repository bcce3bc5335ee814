"""One server for all files of this directory; every file begins with an empty one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conformance.cli.conftest import KINDS, NOBODY
from tests.conftest import open_target
from tests.support.own_cli import OwnCli
from tests.support.runs import Runs, open_api
from tests.support.servers import Target


@pytest.fixture(scope="package")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("own-cli")


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
def cli(target: Target, workdir: Path) -> OwnCli:
    return OwnCli(target.api_url, workdir / "cli-home")


@pytest.fixture(scope="module", autouse=True)
def nothing_left(runs: Runs) -> None:
    """Delete what other files left behind."""
    for kind, key in KINDS.items():
        for item in runs.post(f"/{kind}/filter", {}):
            runs.api.delete(f"/{kind}/{item[key]}").raise_for_status()


@pytest.fixture
def nobody() -> str:
    """An id that nothing has."""
    return NOBODY
