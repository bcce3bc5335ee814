"""`prefect block` and `prefect block type`."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.support.runs import Json, Runs
from tests.support.warm_cli import WarmCli

SOURCE = '''
from prefect.blocks.core import Block
from pydantic import SecretStr


class CliBlock(Block):
    """For the tests of the command line."""

    level: int = 1
    key: SecretStr = SecretStr("unset")
'''


@pytest.fixture(scope="module")
def registered(cli: WarmCli, runs: Runs, project: Path) -> Json:
    (project / "our_blocks.py").write_text(SOURCE)
    assert "CliBlock" in cli("block", "register", "--file", "our_blocks.py")
    kind: Json = runs.get("/block_types/slug/cliblock")
    return kind


def schemas(runs: Runs, kind: Json) -> list[Json]:
    criteria = {"block_type_id": {"any_": [kind["id"]]}}
    found: list[Json] = runs.post("/block_schemas/filter", {"block_schemas": criteria})
    return found


def save(runs: Runs, kind: Json, name: str) -> Json:
    (schema,) = schemas(runs, kind)
    body = {"name": name, "data": {"level": 4, "key": "hidden-value"}}
    saved: Json = runs.post("/block_documents/", {**body, "block_type_id": kind["id"], "block_schema_id": schema["id"]})
    return saved


def test_types(cli: WarmCli, runs: Runs, registered: Json) -> None:
    slugs = {kind["slug"] for kind in cli.json("block", "type", "ls")}
    assert {"secret", "webhook", "cliblock"} <= slugs
    shown = cli.json("block", "type", "inspect", "cliblock")
    assert registered["slug"] in json.dumps(shown)
    assert "cliblock" in cli("block", "type", "inspect", "cliblock")
    cli("block", "register", "--module", "our_blocks")
    assert len(schemas(runs, registered)) == 1, "registering again makes no second version"
    cli("block", "register", "--module", "prefect.blocks.system")
    assert "cliblock" in cli("block", "type", "ls")


def test_documents(cli: WarmCli, runs: Runs, registered: Json) -> None:
    saved = save(runs, registered, "main")
    by_slug = cli("block", "inspect", "cliblock/main")
    assert saved["id"] in by_slug
    assert "hidden-value" not in by_slug
    assert cli("block", "inspect", "--id", saved["id"]) == by_slug
    document = cli.json("block", "inspect", "cliblock/main")
    assert document["id"] == saved["id"]
    assert document["data"]["level"] == 4
    assert [item["id"] for item in cli.json("block", "ls")] == [saved["id"]]
    assert "cliblock/main" in cli("block", "ls")
    cli("block", "delete", "cliblock/main")
    other = save(runs, registered, "other")
    cli("block", "delete", "--id", other["id"])
    assert runs.post("/block_documents/count") == 0


def test_refusals(cli: WarmCli, api: httpx.Client, registered: Json, nobody: str) -> None:
    assert "cliblock/missing" in cli.fails("block", "inspect", "cliblock/missing")
    assert nobody in cli.fails("block", "inspect", "--id", nobody)
    assert "cliblock/missing" in cli.fails("block", "delete", "cliblock/missing")
    assert nobody in cli.fails("block", "delete", "--id", nobody)
    assert "missing" in cli.fails("block", "type", "inspect", "missing")
    assert "missing" in cli.fails("block", "type", "delete", "missing")
    assert "protected" in cli.fails("block", "type", "delete", "secret")
    assert api.get("/block_types/slug/secret").status_code == 200


def test_delete_of_a_type(cli: WarmCli, runs: Runs, api: httpx.Client, registered: Json) -> None:
    save(runs, registered, "orphan")
    cli("block", "type", "delete", "cliblock")
    assert api.get("/block_types/slug/cliblock").status_code == 404
    assert runs.post("/block_documents/count") == 0, "its documents went with it"
