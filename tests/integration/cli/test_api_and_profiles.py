"""`sempre api`, `profile`, `version`, `server status`, `dashboard`, and an API that is away or wants credentials."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from tests.support.net import free_port
from tests.support.own_cli import OwnCli
from tests.support.runs import Runs
from tests.support.servers import Target


def test_raw_requests(cli: OwnCli, runs: Runs, tmp_path: Path) -> None:
    assert json.loads(cli("api", "GET", "/health")) is True
    created = json.loads(cli("api", "POST", "/flows/", "--data", '{"name": "by-api"}'))
    assert runs.get(f"/flows/{created['id']}")["name"] == "by-api"
    assert [flow["id"] for flow in json.loads(cli("api", "post", "flows/filter"))] == [created["id"]]
    file = tmp_path / "body.json"
    file.write_text('{"tags": ["x"]}')
    cli("api", "PATCH", f"/flows/{created['id']}", "--data", f"@{file}")
    assert runs.get(f"/flows/{created['id']}")["tags"] == ["x"]
    assert cli("api", "DELETE", f"/flows/{created['id']}") == ""
    assert runs.post("/flows/count") == 0
    assert json.loads(cli("api", "GET", "/api/health", "--root")) is True
    shown = cli.run("api", "GET", "/health", "--verbose", "-H", "X-Mine: 1")
    assert "> X-Mine: 1" in shown.stderr
    assert "< 200 OK" in shown.stderr


@pytest.mark.parametrize(
    ("status", "command"),
    [
        ("404", ("GET", "/flows/00000000-0000-0000-0000-000000000000")),
        ("404", ("GET", "/nowhere")),
        ("422", ("POST", "/flows/filter", "--data", '{"limit": 100000}')),
    ],
)
def test_refused_raw_requests(cli: OwnCli, status: str, command: tuple[str, ...]) -> None:
    assert status in cli.fails("api", *command, code=4)


def test_an_api_that_is_away(cli: OwnCli, tmp_path: Path) -> None:
    away = OwnCli(f"http://127.0.0.1:{free_port()}/api", tmp_path)
    said = away.fails("flow-run", "ls")
    assert "cannot be reached" in said
    assert "sempre server start" in said
    away.fails("api", "GET", "/health", code=7)
    assert "not available" in away.fails("server", "status")
    assert "No stream" in away.fails("event", "stream")


def test_status_and_version(cli: OwnCli, target: Target) -> None:
    assert cli.json("server", "status", "--wait", "-t", "5")["status"] == "available"
    facts = cli.json("version")
    assert (facts["server"], facts["server_version"] is not None) == (target.api_url, True)
    assert target.api_url.removesuffix("/api") in cli("dashboard", "open")


def test_profiles(target: Target, tmp_path: Path) -> None:
    cli = OwnCli(target.api_url, tmp_path)
    address = cli.env.pop("SEMPRE_API_URL")
    assert [item["name"] for item in cli.json("profile", "ls")] == ["default"]
    cli("profile", "create", "here")
    assert "already exists" in cli.fails("profile", "create", "here")
    cli("--profile", "here", "config", "set", f"SEMPRE_API_URL={address}", "SEMPRE_API_KEY=hush")
    assert cli("--profile", "here", "flow", "ls").startswith("ID")
    assert cli.json("profile", "use", "here") == {"name": "here", "api_url": address, "answers": True}
    assert cli("flow", "ls").startswith("ID")
    cli("profile", "create", "copy", "--from", "here")
    assert "hush" not in cli("profile", "inspect", "copy")
    assert "hush" in cli("profiles", "inspect", "copy", "--show-secrets")
    cli("profile", "rename", "here", "there")
    assert {item["name"]: item["active"] for item in cli.json("profile", "ls")} == {
        "copy": False, "default": False, "there": True,
    }  # fmt: skip
    assert "in use" in cli.fails("profile", "delete", "there")
    cli("profile", "delete", "copy")
    for verb in (("use",), ("delete",), ("inspect",), ("rename", "x")):
        assert "'missing' not found" in cli.fails("profile", verb[0], "missing", *verb[1:])
    assert cli.json("profile", "populate-defaults") == [{"name": "local"}]
    written = tomllib.loads((tmp_path / "profiles.toml").read_text())
    assert (written["active"], sorted(written["profiles"])) == ("there", ["default", "local", "there"])
