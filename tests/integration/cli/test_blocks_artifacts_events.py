"""`sempre block`, `artifact` and `event`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.own_cli import OwnCli
from tests.support.runs import Json, Runs
from tests.support.wait import eventually


@pytest.fixture(scope="module")
def kind(runs: Runs) -> Json:
    made: Json = runs.post("/block_types/", {"name": "Cli Block", "slug": "cli-block"})
    return made


@pytest.fixture(scope="module")
def schema(runs: Runs, kind: Json) -> Json:
    key = {"type": "string", "format": "password", "writeOnly": True}
    fields = {"type": "object", "properties": {"level": {"type": "integer"}, "key": key}, "secret_fields": ["key"]}
    made: Json = runs.post("/block_schemas/", {"block_type_id": kind["id"], "fields": fields})
    return made


def save(runs: Runs, kind: Json, schema: Json, name: str) -> Json:
    body: dict[str, Any] = {"name": name, "data": {"level": 4, "key": "hidden-value"}}
    made: Json = runs.post("/block_documents/", {**body, "block_type_id": kind["id"], "block_schema_id": schema["id"]})
    return made


def test_blocks(cli: OwnCli, runs: Runs, kind: Json, schema: Json, nobody: str) -> None:
    saved = save(runs, kind, schema, "main")
    shown = cli("block", "inspect", "cli-block/main")
    assert saved["id"] in shown
    assert "hidden-value" not in shown
    assert cli("block", "inspect", "--id", saved["id"]) == shown
    assert cli.json("block", "inspect", "cli-block/main")["data"]["level"] == 4
    assert [item["id"] for item in cli.json("blocks", "ls")] == [saved["id"]]
    listed = cli("block", "ls")
    assert "cli-block/main" in listed
    assert "hidden-value" not in listed
    cli("block", "delete", "cli-block/main")
    other = save(runs, kind, schema, "other")
    assert cli.json("block", "delete", "--id", other["id"])["deleted"][0]["name"] == "cli-block/other"
    assert runs.post("/block_documents/count") == 0
    for verb in ("inspect", "delete"):
        assert "'cli-block/missing' not found" in cli.fails("block", verb, "cli-block/missing")
        assert nobody in cli.fails("block", verb, "--id", nobody)
        assert "TYPE/NAME" in cli.fails("block", verb, "missing")
    assert "/blocks/catalog/cli-block/create" in cli("block", "create", "cli-block")


def test_block_types(cli: OwnCli, runs: Runs, api: httpx.Client, kind: Json, schema: Json) -> None:
    assert {"secret", "webhook", "cli-block"} <= {each["slug"] for each in cli.json("block", "type", "ls")}
    assert cli.json("block", "type", "inspect", "cli-block")["id"] == kind["id"]
    assert "missing" in cli.fails("block", "type", "inspect", "missing")
    assert "missing" in cli.fails("block", "type", "delete", "missing")
    assert "protected" in cli.fails("block", "type", "delete", "secret")
    assert api.get("/block_types/slug/secret").status_code == 200
    save(runs, kind, schema, "orphan")
    cli("block", "types", "delete", "cli-block")
    assert api.get("/block_types/slug/cli-block").status_code == 404
    assert runs.post("/block_documents/count") == 0, "its documents went with it"


def test_artifacts(cli: OwnCli, runs: Runs, nobody: str) -> None:
    first, second = (
        runs.post("/artifacts/", {"key": "report", "type": "markdown", "data": f"# {n}", "description": f"no {n}"})
        for n in (1, 2)
    )
    assert {item["latest_id"] for item in cli.json("artifact", "ls")} == {second["id"]}
    assert first["id"] not in cli("artifact", "ls")
    assert first["id"] in cli("artifacts", "ls", "--all")
    assert [item["id"] for item in cli.json("artifact", "inspect", "report")] == [second["id"], first["id"]]
    assert len(cli.json("artifact", "inspect", "report", "--limit", "1")) == 1
    assert "no 2" in cli("artifact", "inspect", "report")
    cli("artifact", "delete", "--id", first["id"])
    assert [item["id"] for item in cli.json("artifact", "ls", "--all")] == [second["id"]]
    cli("artifact", "delete", "report")
    assert runs.post("/artifacts/latest/count") == 0
    for verb in ("inspect", "delete"):
        assert "'report' not found" in cli.fails("artifact", verb, "report")
    assert nobody in cli.fails("artifact", "delete", "--id", nobody)
    assert "either" in cli.fails("artifact", "delete")


def stored(runs: Runs, name: str) -> list[Json]:
    criteria = {"filter": {"event": {"name": [name]}}, "limit": 50}
    found: list[Json] = runs.post("/events/filter", criteria)["events"]
    return found


def test_emit(cli: OwnCli, runs: Runs) -> None:
    related = [{"prefect.resource.id": "cli.related", "prefect.resource.role": "x"}]
    options = ("--payload", '{"a": 1}', "--related", json.dumps(related), "--resource", "colour=blue")
    made = cli.json("event", "emit", "cli.emitted", "--resource-id", "cli.resource", *options)
    (event,) = eventually(lambda: stored(runs, "cli.emitted"), "the event is stored")
    assert (event["id"], event["payload"], event["related"]) == (made["id"], {"a": 1}, related)
    assert event["resource"] == {"prefect.resource.id": "cli.resource", "colour": "blue"}
    assert "--resource-id" in cli.fails("events", "emit", "cli.nothing")
    assert "name=value" in cli.fails("event", "emit", "cli.nothing", "-r", "x")


def test_stream(cli: OwnCli, tmp_path: Path) -> None:
    """What was emitted within the last minute comes first, so there is nothing to wait for."""
    made = cli.json("event", "emit", "cli.streamed", "--resource-id", "cli.one")
    for number in range(3):
        cli("event", "emit", f"cli.other.{number}", "--resource-id", "cli.two")
    shown = cli("event", "stream", "--run-once", "--name", "cli.streamed")
    assert json.loads(shown)["id"] == made["id"]
    text = cli("events", "stream", "--run-once", "--format", "text", "--resource-id", "cli.two", "-n", "cli.other.*")
    assert "cli.other.0 | cli.two" in text
    file = tmp_path / "events.jsonl"
    cli("event", "stream", "--run-once", "--name", "cli.streamed", "--output-file", str(file))
    assert json.loads(file.read_text())["event"] == "cli.streamed"
    assert "neither" in cli.fails("event", "stream", "--format", "xml")
