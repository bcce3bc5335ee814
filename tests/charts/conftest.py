"""The charts through the real helm (make charts). Without helm nothing here can run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import helm

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.charts)


@pytest.fixture(scope="session", autouse=True)
def _helm() -> None:
    """Fetched before the first test, whose time it would otherwise count to."""
    try:
        helm.program()
    except helm.Unavailable as unavailable:
        pytest.skip(str(unavailable))
