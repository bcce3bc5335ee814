"""The settings that the documentation names are those that the server knows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sempre.server.settings import Settings, describe
from sempre.settings import client
from sempre.workers.docker import settings as docker
from sempre.workers.kubernetes import settings as kubernetes

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
_NAME = re.compile(r"`(SEMPRE_[A-Z0-9_]+)(\.\.\.)?[`=]")
_ROW = re.compile(r"^\| `(SEMPRE_[A-Z0-9_]+)` \| `?([0-9.]+|true|false)\b", re.MULTILINE)
# Of the tests and benchmarks, and what workers tell the processes of runs.
_NOT_SETTINGS = re.compile("SEMPRE_TEST_|SEMPRE_BENCH|SEMPRE__|SEMPRE_FLOW_RUN_EXECUTE_")


def _known() -> set[str]:
    listed = (*describe(), *client.describe(), *docker.describe(), *kubernetes.describe())
    return {name for info in listed for name in (info.name, *info.aliases)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_that_a_page_names_exists(page: Path) -> None:
    known = _known()
    for name, open_end in _NAME.findall(page.read_text()):
        if not _NOT_SETTINGS.match(name):
            assert any(each.startswith(name) for each in known) if open_end else name in known, name


def test_the_documented_defaults_are_the_defaults() -> None:
    defaults = {info.name: info.default for info in describe()}
    rows = _ROW.findall((ROOT / "docs" / "operations.md").read_text())
    assert len(rows) >= 3
    for name, documented in rows:
        default = defaults[name]
        assert str(default).lower() == documented if isinstance(default, bool) else float(documented) == default, name


def test_the_pages_are_read() -> None:
    named = {name for page in PAGES for name, _ in _NAME.findall(page.read_text())}
    assert "SEMPRE_SERVER_DATABASE_CONNECTION_URL" in named
    assert Settings().events.retention_seconds == 604800
