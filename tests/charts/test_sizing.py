"""The sizes of presets add up to what their page says, and come from what was measured."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.support.helm import CHARTS
from tests.support.prefect_env import ROOT

PRESETS = CHARTS / "sempre-server" / "presets"
PAGE = (ROOT / "docs" / "deploy" / "kubernetes.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
POOL, LISTENER = 10, 1  # connections of one process


def _pods(preset: dict[str, Any]) -> int:
    """How many there are at most that talk to Postgres."""
    server, services = preset["server"], preset["backgroundServices"]
    api = server["autoscaling"]["maxReplicas"] if "autoscaling" in server else server["replicaCount"]
    apart = sum(group["replicaCount"] for group in services.get("groups", {}).values())
    return int(api + services["replicaCount"] + apart)


@pytest.mark.parametrize("name", ["small", "medium", "large"])
def test_connections_are_counted(name: str) -> None:
    text = (PRESETS / f"{name}.yaml").read_text()
    wanted = _pods(yaml.safe_load(text)) * (POOL + LISTENER)
    comment = re.sub(r"\n# ?", " ", text)
    assert f"allows {wanted} connections" in comment or f"allow {wanted} connections" in comment
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| [{name}]")]
    assert row.split("|")[6].strip() == str(wanted)


def test_figures_are_those_that_were_measured() -> None:
    section = OPERATIONS.partition("## Sizing")[2].partition("\n## ")[0]
    assert "make bench" in section
    assert "python -m benchmarks automations" in section
    quoted = PAGE.partition("Where the figures come from")[2].partition("\n\n")[0]
    assert "operations.md#sizing" in quoted
    for figure in ("130 MB", "650", "7,000 e"):
        assert figure in quoted
        assert figure in section
    for path in PRESETS.glob("*.yaml"):
        assert "docs/operations.md, Sizing" in path.read_text(), f"{path.name} does not say where its sizes come from"
