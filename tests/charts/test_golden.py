"""What the charts make is what was reviewed: `SEMPRE_UPDATE_GOLDEN=1 make charts` writes the files anew."""

from __future__ import annotations

import difflib
import os

import pytest

from tests.charts.cases import CASES, GOLDEN, Case, text_of
from tests.support import helm

_SEMPRE_DASHBOARD = "  sempre.json: |-\n"


def _reviewable(text: str) -> str:
    """Without blank lines and without the body of the dashboard, which is reviewed where it is made."""
    kept, inside = [], False
    for line in text.splitlines(keepends=True):
        if inside and (line.startswith("    ") or not line.strip()):
            continue
        inside = line == _SEMPRE_DASHBOARD
        if line.strip():
            kept.append(line.rstrip() + "\n")
    return "".join(kept)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_made_is_what_was_reviewed(case: Case) -> None:
    made = _reviewable(text_of(case))
    if os.environ.get("SEMPRE_UPDATE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        case.golden.write_text(made)
    reviewed = case.golden.read_text() if case.golden.exists() else ""
    difference = difflib.unified_diff(reviewed.splitlines(), made.splitlines(), str(case.golden.name), "made", n=2)
    assert made == reviewed, "\n".join(difference)


def test_no_golden_file_is_left_over() -> None:
    assert {path.name for path in GOLDEN.glob("*.yaml")} == {case.golden.name for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_helm_is_content(case: Case) -> None:
    if case.name in _NEED_A_CLUSTER:
        pytest.skip("helm lint cannot be told what a cluster knows")
    assert "1 chart(s) linted, 0 chart(s) failed" in helm.lint(case.chart, case.values)


_NEED_A_CLUSTER = {"gateway", "route"}
