"""`sempre canary run`: passes on what works, fails on what does not, and leaves nothing behind."""

from __future__ import annotations

import signal
from pathlib import Path
from xml.etree import ElementTree

import pytest

from sempre.canary.every import CANARIES
from tests.integration.canary.suite import TIME, Suite
from tests.support.database import Postgres
from tests.support.servers import SempreServer
from tests.support.wait import eventually

QUICK = {name for name, canary in CANARIES.items() if not canary.slow}


@pytest.fixture(scope="module")
def suite(server: SempreServer, workdir: Path) -> Suite:
    return Suite(server.api_url, workdir / "canary-home")


def test_all_pass_on_one_server(suite: Suite, tmp_path: Path) -> None:
    junit = tmp_path / "report.xml"
    report = suite.run("--quick", "--junit", str(junit))
    assert {each["name"] for each in report["canaries"]} == QUICK
    assert {each["result"] for each in report["canaries"]} == {"passed"}
    assert [each["left_behind"] for each in report["canaries"]] == [[]] * len(QUICK)
    assert report["seconds"] < TIME
    assert suite.left_behind() == []
    cases = ElementTree.parse(junit).getroot()
    assert {case.get("name") for case in cases} == QUICK
    assert cases.get("failures") == "0"


def test_beside_another_one(suite: Suite) -> None:
    names = "hello,leases,tag-limits,secret-block,event-stream,schedules"
    both = [suite.start("run", "--only", names, "-o", "json") for _ in range(2)]
    for process in both:
        assert suite.report(process, 0)["passed"]
    assert suite.left_behind() == []


def test_an_interrupt_clears_up(suite: Suite) -> None:
    process = suite.start("run", "--only", "automation-proactive,abandoned-leases")
    eventually(lambda: len(suite.left_behind()) >= 2, "both canaries have made what they need")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode not in (0, 1)
    assert suite.left_behind() == []


def test_what_is_unknown_or_away_is_said(suite: Suite) -> None:
    _, errors = (process := suite.start("run", "--only", "helo")).communicate(timeout=30)
    assert process.returncode == 1
    assert "There is no canary helo" in errors
    away = suite.start("run", "--api", "http://127.0.0.1:1/api", SEMPRE_CLIENT_PATIENCE_SECONDS="0")
    _, errors = away.communicate(timeout=30)
    assert away.returncode == 1
    assert "cannot be reached" in errors


def test_each_fails_when_what_it_watches_is_broken(postgres: Postgres, workdir: Path) -> None:
    """Without background services runs go on as before; what services do is missed by those who watch it."""
    database = postgres.create()
    server = SempreServer(workdir / "without-services", database=database, services=False)
    server.start()
    try:
        suite = Suite(server.api_url, workdir / "canary-home")
        names = "hello,leases,tasks,schedules,automation-reactive,automation-compound"
        report = suite.run("--only", names, "--timeout", "10", code=1)
        results = {each["name"]: each["result"] for each in report["canaries"]}
        messages = {each["name"]: each["message"] for each in report["canaries"]}
        assert {name for name, result in results.items() if result == "passed"} == {"hello", "leases"}
        assert "11 task runs are recorded as ended" in messages["tasks"]
        assert "3 runs of a new schedule are planned; last seen: []" in messages["schedules"]
        assert "did not fire" in messages["automation-reactive"]
        assert suite.left_behind() == []
    finally:
        server.stop()
        postgres.drop(database)
