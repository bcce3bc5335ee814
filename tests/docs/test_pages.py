"""The examples of each page run as they stand, against a server."""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.docs.pages import ROOT, Page, pages
from tests.support.processes import ManagedProcess
from tests.support.runs import checked
from tests.support.servers import SempreServer

PAGES = {page.path.relative_to(ROOT).as_posix(): page for page in pages()}
LINK = re.compile(r"(?:\]\(|^\[[^\]]+\]: )([^)#\s]+)(?:#[^)]*)?", re.MULTILINE)
RUNNER = Path(__file__).with_name("run_page.py")


class Reading:
    """One page's processes, in a folder of their own."""

    def __init__(self, page: Page, folder: Path, api_url: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        for name, code in page.files.items():
            (folder / name).write_text(code)
        for number, code in enumerate(page.blocks):
            (folder / f"block-{number:02}.py").write_text(code)
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "SEMPRE_"))}
        self.env = {
            **kept,
            "PYTHONPATH": f"{ROOT}:{folder}",
            "SEMPRE_HOME": str(folder / "home"),
            "SEMPRE_API_URL": api_url,
        }
        self.served = [self._start(name, folder / name) for name in page.serves]
        self.process = self._start("page", RUNNER)

    def _start(self, name: str, script: Path) -> ManagedProcess:
        return ManagedProcess.start(name, [sys.executable, script], log_dir=self.folder, env=self.env, cwd=self.folder)

    def stop(self) -> None:
        for process in [self.process, *self.served]:
            process.terminate(10)


@pytest.fixture(scope="module")
def readings(request: pytest.FixtureRequest, server: SempreServer, workdir: Path) -> Iterator[dict[str, Reading]]:
    """All of the selected pages, read at the same time."""
    items: list[Any] = list(request.session.items)
    chosen = {item.callspec.params["name"] for item in items if _is_page(item)}
    wanted = {name: page for name, page in PAGES.items() if name in chosen}
    for page in wanted.values():
        for name, slots, decay in page.limits:
            body = {"name": name, "limit": slots, "slot_decay_per_second": decay}
            checked(httpx.post(f"{server.api_url}/v2/concurrency_limits/", json=body))
    for pool in ("local", "my-pool"):
        checked(httpx.post(f"{server.api_url}/work_pools/", json={"name": pool, "type": "process"}))
    made = {name: Reading(page, workdir / name.replace("/", "-"), server.api_url) for name, page in wanted.items()}
    yield made
    for reading in made.values():
        reading.stop()


def _is_page(item: Any) -> bool:
    return item.path == Path(__file__) and "name" in getattr(getattr(item, "callspec", None), "params", {})


@pytest.mark.parametrize("name", PAGES)
def test_page(readings: dict[str, Reading], name: str) -> None:
    reading = readings[name]
    assert reading.process.wait(120) == 0, reading.process.tail(60)
    for served in reading.served:
        assert served.running(), served.tail(60)
        assert served.terminate(20) == 0, served.tail(60)


@pytest.mark.parametrize("name", [name for name, page in PAGES.items() if page.compiled])
def test_what_is_not_run_is_python(name: str) -> None:
    for code in PAGES[name].compiled:
        assert _compiled(code, name), code


def _compiled(code: str, name: str) -> Any:
    try:
        return compile(code, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except SyntaxError:
        return None


def test_links_lead_somewhere() -> None:
    """Links between the pages, and to files of the repository."""
    broken = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
        for target in LINK.findall(path.read_text())
        if "://" not in target and not (path.parent / target).exists()
    ]
    assert not broken
