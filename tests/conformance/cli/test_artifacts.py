"""`prefect artifact`."""

from __future__ import annotations

from tests.support.runs import Runs
from tests.support.warm_cli import WarmCli


def test_list_inspect_delete(cli: WarmCli, runs: Runs, nobody: str) -> None:
    first, second = (
        runs.post("/artifacts/", {"key": "report", "type": "markdown", "data": f"# {n}", "description": f"no {n}"})
        for n in (1, 2)
    )
    latest = {item["latest_id"] for item in cli.json("artifact", "ls")}
    assert second["id"] in latest
    assert first["id"] not in latest
    every = cli("artifact", "ls", "--all")
    assert first["id"] in every
    assert {item["id"] for item in cli.json("artifact", "inspect", "report")} == {first["id"], second["id"]}
    assert len(cli.json("artifact", "inspect", "report", "--limit", "1")) == 1
    cli("artifact", "delete", "--id", first["id"])
    assert [item["id"] for item in runs.post("/artifacts/filter", {"sort": "KEY_ASC"}) if item["key"]] == [second["id"]]
    cli("artifact", "delete", "report")
    assert runs.post("/artifacts/latest/count") == 0
    assert "report" in cli.fails("artifact", "inspect", "report")
    assert "report" in cli.fails("artifact", "delete", "report")
    assert nobody in cli.fails("artifact", "delete", "--id", nobody)
    cli.fails("artifact", "delete")
