"""`sempre canary run` on two API servers and two processes of services behind a proxy."""

from __future__ import annotations

from pathlib import Path

from tests.integration.canary.suite import TIME, Suite
from tests.support.servers import Ensemble


def test_all_pass_on_an_ensemble(ensemble: Ensemble, workdir: Path) -> None:
    suite = Suite(ensemble.api_url, workdir / "canary-home")
    report = suite.run("--quick")
    assert {each["name"]: each["message"] for each in report["canaries"] if each["result"] != "passed"} == {}
    assert report["seconds"] < TIME
    assert suite.left_behind() == []
