"""Fixtures of the browser tests: one furnished server and one browser for all of them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser import chromium
from tests.browser.house import House, furnish
from tests.browser.ui_files import BASES, UIServer, find_files
from tests.browser.visit import Visit
from tests.support.database import Database, Postgres
from tests.support.prefect_env import interpreter
from tests.support.runs import Runs, open_api
from tests.support.servers import SempreServer, run_sempre

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Homes, logs and pictures of this session; pytest keeps the last three."""
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="session")
def house(postgres: Postgres, rooms: Path) -> Iterator[House]:
    """One server for all tests of this folder: furnishing it takes longer than looking at a page."""

    def migrate(database: Database) -> None:
        run_sempre("server", "database", "upgrade", "-y", home=rooms / "migration-home", database=database)

    database = postgres.create_from("sempre", migrate)
    server = SempreServer(rooms, database=database)
    server.start()
    with open_api(server.api_url) as client:
        furnished = furnish(server, Runs(client), rooms)
        yield furnished
        furnished.worker.terminate(15)
    server.stop()
    postgres.drop(database)


@pytest.fixture(scope="session")
def ui(house: House) -> Iterator[UIServer]:
    """The UI's files on another origin than the API, as when a page is served by somebody else."""
    server = UIServer(find_files(interpreter()), house.server.api_url)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def browser(house: House) -> Iterator[Browser]:
    """Depends on the house so that it ends first: while it runs, nothing else in this thread may run an event loop."""
    program = chromium.find()
    if program is None:
        pytest.fail(chromium.ADVICE)
    with sync_playwright() as playwright:
        # Every launch has an empty user directory of its own.
        started = playwright.chromium.launch(executable_path=program, headless=True, args=list(chromium.FLAGS))
        yield started
        started.close()


@pytest.fixture(scope="session")
def tabs(browser: Browser, ui: UIServer, house: House, rooms: Path) -> Iterator[dict[str, Visit]]:
    """One tab for each of the two UIs, in a window whose user has never been here."""
    window = browser.new_context(viewport={"width": 1400, "height": 1100}, timezone_id="UTC", locale="en-US")
    yield {
        version: Visit(window.new_page(), version, ui.url + base, house.server.api_url, rooms)
        for version, base in BASES.items()
    }
    window.close()


@pytest.fixture
def visit(request: pytest.FixtureRequest, tabs: dict[str, Visit]) -> Iterator[Visit]:
    """A tab on the UI that the test is parametrized with, `v2` without. What failed in it fails the test."""
    tab = tabs[getattr(request, "param", "v2")]
    tab.begin()
    failed = request.session.testsfailed
    yield tab
    _keep_calls(request.node.name, tab)
    # Charts of the older UI, and graphs of runs in both, stumble when they are left inside the application while they
    # are being drawn: it starts anew.
    drawn = tab.version != "v2" or "/runs/flow-run/" in tab.page.url
    tab.fresh = tab.fresh and not drawn and request.session.testsfailed == failed
    tab.done()


def _keep_calls(test: str, tab: Visit) -> None:
    """With SEMPRE_TEST_UI_CALLS=FILE every call is appended there as one JSON line: what a benchmark may replay."""
    target = os.environ.get("SEMPRE_TEST_UI_CALLS")
    if target:
        with Path(target).open("a") as lines:
            for call in tab.calls:
                line = {"page": test, "method": call.method, "path": call.path, "body": call.body}
                lines.write(json.dumps(line) + "\n")
