"""`sempre server database` on the embedded Postgres, as a person runs it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sempre.db.embedded import embedded_is_running, stop_embedded
from tests.support.servers import run_sempre


@pytest.fixture
def home() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="sempre-cli-"))
    yield directory
    stop_embedded(directory, force=True)
    shutil.rmtree(directory, ignore_errors=True)


def current(home: Path) -> dict[str, object]:
    facts: dict[str, object] = json.loads(run_sempre("server", "database", "current", "-o", "json", home=home))
    return facts


def test_upgrade_reset_downgrade_leave_no_server_behind(home: Path) -> None:
    assert current(home)["current"] is None
    run_sempre("server", "database", "upgrade", "-y", home=home)
    assert current(home)["up_to_date"] is True
    run_sempre("server", "database", "reset", "-y", home=home)
    assert current(home)["up_to_date"] is True
    run_sempre("server", "database", "downgrade", "-y", "-r", "base", home=home)
    assert current(home)["current"] is None
    assert not embedded_is_running(home)
