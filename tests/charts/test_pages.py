"""Files of the charts that are made from others are what these say."""

from __future__ import annotations

from scripts.chart_pages import files
from tests.support.helm import CHARTS
from tests.support.prefect_env import ROOT


def test_schemas_and_readmes_are_those_of_the_values() -> None:
    for path, text in files().items():
        assert path.read_text() == text, f"{path}: python scripts/chart_pages.py"


def test_dashboard_and_alerts_are_those_of_deploy() -> None:
    server = CHARTS / "sempre-server" / "files"
    for copy, original in (("dashboard.json", "grafana/sempre.json"), ("alerts.yaml", "prometheus/alerts.yaml")):
        made = (server / copy).read_text()
        assert made == (ROOT / "deploy" / original).read_text(), (
            f"cp deploy/{original} charts/sempre-server/files/{copy}"
        )
