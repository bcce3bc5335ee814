"""Reads what flow scripts report (flows/report.py)."""

from __future__ import annotations

import json
from typing import Any

Facts = dict[str, Any]


def parse(output: str) -> dict[str, Facts]:
    """Facts by scenario name, from the lines a script printed."""
    lines = (line[2:] for line in output.splitlines() if line.startswith("@@"))
    reports = [json.loads(line) for line in lines]
    return {report.pop("scenario"): report for report in reports}


def of(reports: dict[str, Facts], name: str) -> Facts:
    """Facts of one scenario; AssertionError if the script did not get through it."""
    assert name in reports, f"the script never reported {name}; it reported {sorted(reports)}"
    facts = reports[name]
    assert "error" not in facts, f"scenario {name} failed: {facts['error']}"
    return facts
