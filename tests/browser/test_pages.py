"""Every page of both UIs shows what is there, and no call of it fails."""

from __future__ import annotations

import time

import pytest

from tests.browser.house import House
from tests.browser.pages import PAGES
from tests.browser.visit import Visit

EVERY = [pytest.param(version, name, id=f"{version}-{name}") for version, pages in PAGES.items() for name in pages]


@pytest.mark.parametrize(("visit", "name"), EVERY, indirect=["visit"])
def test_page(visit: Visit, name: str, house: House) -> None:
    page = PAGES[visit.version][name]
    if page.to_the_minute:
        visit.until(lambda: time.time() // 60 > house.furnished // 60, "the minute is over", 61)
    visit.open(page.path.format(**house.ids), *(_filled(text, house) for text in page.shows))
    for tab, texts in page.tabs.items():
        visit.tab(tab, *(_filled(text, house) for text in texts))


def _filled(text: str, house: House) -> str:
    """A text that is one name in braces stands for that id; others may contain braces of their own."""
    name = text.removeprefix("{").removesuffix("}")
    return house.ids.get(name, text) if text.startswith("{") else text


@pytest.mark.parametrize("visit", PAGES, indirect=True)
def test_the_graph_draws_the_tasks(visit: Visit, house: House) -> None:
    visit.open(f"/runs/flow-run/{house.ids['symphony']}", "symphony-no-1")
    # Eight bars in the colour of completed tasks; the canvas is drawn a moment after the graph was read.
    visit.until(lambda: visit.green_pixels("canvas") > 800, "the graph shows completed tasks")
    graph = visit.called("GET", "/graph-v2")
    assert graph.status == 200
