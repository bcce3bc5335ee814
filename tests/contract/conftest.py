"""Fixtures of these tests: one world for all tests of a module, called from tests that are not coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.contract.fuzz import Fuzzer
from tests.integration.api.world import open_world
from tests.support.database import Database


@pytest.fixture(scope="module")
def fuzzer(database: Database) -> Iterator[Fuzzer]:
    with asyncio.Runner() as runner:
        opened = open_world(database)
        world = runner.run(opened.__aenter__())
        yield Fuzzer(world, runner)
        runner.run(opened.__aexit__(None, None, None))
