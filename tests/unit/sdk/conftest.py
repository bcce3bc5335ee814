from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from sempre.sdk.engine.world import set_world
from sempre.settings import temporary_settings
from tests.unit.sdk.fakes import FakeWorld


@pytest.fixture
def world(tmp_path: Path) -> Iterator[FakeWorld]:
    """Flows and tasks run without a server; results lie in the test's own directory."""
    made = FakeWorld()
    before = set_world(made)
    logger = logging.getLogger("sempre")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with temporary_settings({"home": str(tmp_path / "home")}):
            yield made
    finally:
        set_world(before)
        logger.setLevel(level)
