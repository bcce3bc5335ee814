"""What settings make of the resources of a process, before any of them is reached."""

from __future__ import annotations

from uuid import UUID

import pytest

from sempre.server.resources import open_resources
from sempre.server.settings import load_settings
from tests.support.net import LOOPBACK, free_port


@pytest.mark.parametrize(("seconds", "remembers"), [("0s", False), ("1h", True)])
async def test_memory_lasts_as_long_as_the_settings_say(seconds: str, remembers: bool) -> None:
    env = {
        "SEMPRE_SERVER_DATABASE_CONNECTION_URL": f"postgresql://u@{LOOPBACK}:{free_port()}/none",
        "PREFECT_SERVER_EVENTS_RELATED_RESOURCE_CACHE_TTL": seconds,
    }
    async with open_resources(load_settings(env=env)) as scope:
        scope.recall.flows.keep(UUID(int=0), UUID(int=1), {"name": "f"})
        found = scope.recall.flows.get(UUID(int=0), UUID(int=1))
        assert (found is not None) is remembers
