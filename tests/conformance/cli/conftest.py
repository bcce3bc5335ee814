"""One warm CLI per file, in a directory of its own where commands find the files they are given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.prefect_env import PrefectClient
from tests.support.warm_cli import WarmCli

NOBODY = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(scope="module")
def project(workdir: Path) -> Path:
    """Where the commands run."""
    directory = workdir / "project"
    directory.mkdir()
    return directory


@pytest.fixture(scope="module")
def cli(prefect: PrefectClient, project: Path) -> Iterator[WarmCli]:
    warm = WarmCli(prefect, project)
    yield warm
    warm.close()


@pytest.fixture
def nobody() -> str:
    """An id that nothing has."""
    return NOBODY
