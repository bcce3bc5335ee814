"""`sempre variable`, `concurrency-limit` and `global-concurrency-limit`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.own_cli import OwnCli
from tests.support.runs import Runs


def test_variable(cli: OwnCli, runs: Runs) -> None:
    cli("variable", "set", "limits", '{"deep": [1, 2]}', "--tag", "x", "--tag", "y")
    stored = runs.get("/variables/name/limits")
    assert (stored["value"], stored["tags"]) == ({"deep": [1, 2]}, ["x", "y"])
    assert cli.json("variable", "inspect", "limits")["id"] == stored["id"]
    assert json.loads(cli("variable", "get", "limits")) == {"deep": [1, 2]}
    refused = cli.fails("variable", "set", "limits", "2")
    assert "already exists" in refused
    assert "--overwrite" in refused
    cli("variable", "set", "limits", "two", "--overwrite")
    changed = runs.get("/variables/name/limits")
    assert (changed["id"], changed["value"], changed["tags"]) == (stored["id"], "two", [])
    assert cli("variable", "get", "limits") == "two\n"
    assert cli.json("variable", "get", "limits") == "two"
    assert "limits" in cli("variables", "ls")
    assert [item["name"] for item in cli.json("variable", "ls")] == ["limits"]
    declined = cli.run("--prompt", "variable", "unset", "limits", stdin="n\n")
    assert declined.exit_code == 1
    assert runs.post("/variables/count") == 1
    cli("variable", "unset", "limits")
    cli("variable", "set", "again", "1")
    assert cli.json("variable", "delete", "again")["deleted"][0]["name"] == "again"
    assert runs.post("/variables/count") == 0
    for verb in ("get", "inspect", "unset", "delete"):
        assert "not found" in cli.fails("variable", verb, "missing")
    assert "lowercase" in cli.fails("variable", "set", "Bad Name!", "1")


def test_tag_limit(cli: OwnCli, runs: Runs) -> None:
    made = cli.json("concurrency-limit", "create", "db", "5")
    assert cli.json("concurrency-limit", "create", "db", "6")["id"] == made["id"], "creating again changes the limit"
    assert runs.get("/concurrency_limits/tag/db")["concurrency_limit"] == 6
    assert cli.json("concurrency-limit", "inspect", "db")["id"] == made["id"]
    assert [item["tag"] for item in cli.json("concurrency-limits", "ls")] == ["db"]
    assert cli.json("concurrency-limit", "ls", "--offset", "1") == []
    assert "db" in cli("concurrency-limit", "ls")
    assert cli.json("concurrency-limit", "reset", "db")["active_slots"] == []
    cli("concurrency-limit", "delete", "db")
    assert runs.post("/concurrency_limits/filter") == []
    for verb in ("inspect", "reset", "delete"):
        assert "'missing' not found" in cli.fails("concurrency-limit", verb, "missing")


def test_global_limit(cli: OwnCli, runs: Runs, tmp_path: Path) -> None:
    path = "/v2/concurrency_limits/api-calls"
    made = cli.json("gcl", "create", "api-calls", "--limit", "3")
    assert (made["limit"], made["active"], made["active_slots"]) == (3, True, 0)
    file = tmp_path / "limit.json"
    assert cli.json("global-concurrency-limits", "inspect", "api-calls", "--file", str(file))["id"] == made["id"]
    assert json.loads(file.read_text())["name"] == "api-calls"
    for option, value, field in (
        ("--limit", "7", "limit"),
        ("--active-slots", "2", "active_slots"),
        ("--slot-decay-per-second", "1.5", "slot_decay_per_second"),
    ):
        cli("gcl", "update", "api-calls", option, value)
        assert runs.get(path)[field] == float(value)
    for verb, active in (("disable", False), ("enable", True)):
        cli("gcl", verb, "api-calls")
        assert runs.get(path)["active"] is active
        assert "already" in cli.fails("gcl", verb, "api-calls")
    cli("gcl", "update", "api-calls", "--disable")
    assert runs.get(path)["active"] is False
    assert "already exists" in cli.fails("gcl", "create", "api-calls", "-l", "1")
    assert "Nothing to change" in cli.fails("gcl", "update", "api-calls")
    assert "api-calls" in cli("gcl", "ls")
    assert [limit["name"] for limit in cli.json("gcl", "ls")] == ["api-calls"]
    cli("gcl", "delete", "api-calls")
    cli("gcl", "create", "full", "-l", "3", "--disable", "--active-slots", "1", "--slot-decay-per-second", "0.5")
    full = runs.get("/v2/concurrency_limits/full")
    assert (full["active"], full["limit"], full["slot_decay_per_second"]) == (False, 3, 0.5)
    cli("gcl", "delete", "full")
    assert runs.post("/v2/concurrency_limits/filter") == []


@pytest.mark.parametrize("verb", ["inspect", "enable", "disable", "delete", "update"])
def test_global_limit_refusals(cli: OwnCli, verb: str) -> None:
    more = ("--limit", "2") if verb == "update" else ()
    assert "'missing' not found" in cli.fails("gcl", verb, "missing", *more)
