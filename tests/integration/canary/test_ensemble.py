"""`sempre canary run` on two API servers and two processes of services behind a balancer, with Postgres alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.canary.suite import TIME, Suite, all_pass
from tests.support.servers import Ensemble

pytestmark = pytest.mark.canaries


def test_all_pass(ensemble: Ensemble, workdir: Path) -> None:
    suite = Suite(ensemble.api_url, workdir / "canary-home")
    report = suite.run("--quick")
    all_pass(report)
    assert report["seconds"] < TIME
    assert suite.left_behind() == []
