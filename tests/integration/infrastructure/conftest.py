"""Infrastructure against stand-ins of what it runs on, and a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sempre.client import Client, backstage, get_client
from sempre.settings import ClientSettings
from sempre.settings.client import ApiSettings
from sempre.settings.players import LoggingSettings
from tests.support.servers import SempreServer


@pytest.fixture(autouse=True)
def _backstage() -> Iterator[None]:
    """No connection outlives its test."""
    yield
    backstage.close(5)


@pytest.fixture
def settings(server: SempreServer, tmp_path: Path) -> ClientSettings:
    logging = LoggingSettings(to_api_batch_interval_seconds=0.05)
    return ClientSettings(home=tmp_path, api=ApiSettings(url=server.api_url), logging=logging)


@pytest.fixture
def client(settings: ClientSettings) -> Client:
    return get_client(settings=settings)
