"""`prefect variable`."""

from __future__ import annotations

from tests.support.runs import Runs
from tests.support.warm_cli import WarmCli


def test_set_read_change_delete(cli: WarmCli, runs: Runs) -> None:
    cli("variable", "set", "limits", '{"deep": [1, 2]}', "--tag", "x", "--tag", "y")
    stored = runs.get("/variables/name/limits")
    assert (stored["value"], stored["tags"]) == ({"deep": [1, 2]}, ["x", "y"])
    inspected = cli.json("variable", "inspect", "limits")
    assert (inspected["id"], inspected["value"]) == (stored["id"], stored["value"])
    assert "deep" in cli("variable", "get", "limits")
    assert "limits" in cli("variable", "ls")
    assert [item["name"] for item in cli.json("variable", "ls")] == ["limits"]
    refused = cli.fails("variable", "set", "limits", "2")
    assert "already exists" in refused
    assert "--overwrite" in refused
    cli("variable", "set", "limits", "two", "--overwrite")
    changed = runs.get("/variables/name/limits")
    assert (changed["id"], changed["value"], changed["tags"]) == (stored["id"], "two", [])
    cli("variable", "unset", "limits")
    assert runs.post("/variables/count") == 0
    cli("variable", "set", "again", "1")
    cli("variable", "delete", "again")
    assert runs.post("/variables/count") == 0


def test_refusals(cli: WarmCli, runs: Runs) -> None:
    for verb in ("get", "inspect", "unset", "delete"):
        assert "not found" in cli.fails("variable", verb, "missing")
    assert "lowercase" in cli.stumbles("variable", "set", "Bad Name!", "1")
    assert runs.post("/variables/count") == 0
