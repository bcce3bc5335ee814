"""`sempre canary run` on the reference server: canaries judge the protocol, and say what a server cannot do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.canary.suite import Suite
from tests.support.servers import ReferenceServer

pytestmark = pytest.mark.canaries

# What that server does not do, as its canaries say it.
LACKS: dict[str, str] = {}
# That server was seen to record no more task runs after a while with many of them. So those who look at them are played
# first, and the rest of them not at all.
FIRST = "background-tasks,tag-limits"
NOT_PLAYED = "tasks,task-burst,task-retries,task-results"


@pytest.mark.parametrize(
    "arguments", [("--only", FIRST), ("--quick", "--skip", f"{FIRST},{NOT_PLAYED}")], ids=["first", "the others"]
)
def test_none_fails(reference: ReferenceServer, workdir: Path, arguments: tuple[str, ...]) -> None:
    suite = Suite(reference.api_url, workdir / "canary-home")
    report = suite.run(*arguments)
    ended = {each["name"]: (each["result"], each["message"]) for each in report["canaries"]}
    assert {name: end for name, end in ended.items() if end[0] not in ("passed", "skipped")} == {}
    assert {name: message for name, (result, message) in ended.items() if result == "skipped"} == LACKS
    assert suite.left_behind() == []
