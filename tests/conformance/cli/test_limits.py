"""`prefect concurrency-limit` (of tags) and `prefect global-concurrency-limit`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.runs import Runs
from tests.support.warm_cli import WarmCli


def test_tag_limit(cli: WarmCli, runs: Runs) -> None:
    cli("concurrency-limit", "create", "db", "5")
    created = runs.get("/concurrency_limits/tag/db")
    assert (created["concurrency_limit"], created["active_slots"]) == (5, [])
    cli("concurrency-limit", "create", "db", "6")
    stored = runs.get("/concurrency_limits/tag/db")
    assert (stored["id"], stored["concurrency_limit"]) == (created["id"], 6), "creating again changes the limit"
    inspected = cli.json("concurrency-limit", "inspect", "db")
    assert inspected["id"] == stored["id"]
    assert [item["tag"] for item in cli.json("concurrency-limit", "ls")] == ["db"]
    assert cli.json("concurrency-limit", "ls", "--offset", "1") == []
    assert "db" in cli("concurrency-limit", "ls")
    cli("concurrency-limit", "reset", "db")
    cli("concurrency-limit", "delete", "db")
    assert runs.post("/concurrency_limits/filter") == []


def test_tag_limit_refusals(cli: WarmCli) -> None:
    for verb in ("inspect", "reset", "delete"):
        refused = cli.fails("concurrency-limit", verb, "missing")
        assert "missing" in refused


def test_global_limit(cli: WarmCli, runs: Runs, project: Path) -> None:
    path = "/v2/concurrency_limits/api-calls"
    cli("gcl", "create", "api-calls", "--limit", "3")
    created = runs.get(path)
    assert (created["limit"], created["active"], created["active_slots"]) == (3, True, 0)
    assert cli.json("gcl", "inspect", "api-calls")["id"] == created["id"]
    cli("gcl", "inspect", "api-calls", "--output", "json", "--file", "limit.json")
    assert json.loads((project / "limit.json").read_text())["name"] == "api-calls"
    for option, value, field in (
        ("--limit", "7", "limit"),
        ("--active-slots", "2", "active_slots"),
        ("--slot-decay-per-second", "1.5", "slot_decay_per_second"),
    ):
        cli("gcl", "update", "api-calls", option, value)
        assert runs.get(path)[field] == float(value)
    for argument, active in (("disable", False), ("enable", True)):
        cli("gcl", argument, "api-calls")
        assert runs.get(path)["active"] is active
        assert "already" in cli.fails("gcl", argument, "api-calls")
    for option, active in (("--disable", False), ("--enable", True)):
        cli("gcl", "update", "api-calls", option)
        assert runs.get(path)["active"] is active
    assert [limit["name"] for limit in cli.json("gcl", "ls")] == ["api-calls"]
    cli("gcl", "delete", "api-calls")
    assert runs.post("/v2/concurrency_limits/filter") == []


def test_global_limit_created_with_everything(cli: WarmCli, runs: Runs) -> None:
    cli("gcl", "create", "full", "-l", "3", "--disable", "--active-slots", "1", "--slot-decay-per-second", "0.5")
    full = runs.get("/v2/concurrency_limits/full")
    assert (full["active"], full["limit"], full["slot_decay_per_second"]) == (False, 3, 0.5)
    assert "full" in cli("gcl", "ls")
    cli("gcl", "delete", "full")


def test_global_limit_refusals(cli: WarmCli, runs: Runs) -> None:
    cli("gcl", "create", "one", "--limit", "1")
    assert "already exists" in cli.fails("gcl", "create", "one", "--limit", "1")
    for command in (
        ("inspect", "missing"),
        ("enable", "missing"),
        ("disable", "missing"),
        ("delete", "missing"),
        ("update", "missing", "--limit", "2"),
    ):
        assert "not found" in cli.fails("gcl", *command)
    cli.fails("gcl", "update", "one", "--active-slots", "-2")
    cli.fails("gcl", "create", "negative", "--limit", "-3")
    assert [limit["name"] for limit in runs.post("/v2/concurrency_limits/filter")] == ["one"]
