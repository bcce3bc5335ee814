"""Commands about the API itself or that need it in passing: api, version, profile, config, transfer."""

from __future__ import annotations

import json

import pytest

from tests.support.prefect_env import PrefectClient
from tests.support.runs import Runs
from tests.support.servers import Target
from tests.support.warm_cli import WarmCli


def test_raw_requests(cli: WarmCli, runs: Runs, nobody: str) -> None:
    assert json.loads(cli("api", "GET", "/health")) is True
    created = json.loads(cli("api", "POST", "/flows/", "--data", '{"name": "by-api"}'))
    assert runs.get(f"/flows/{created['id']}")["name"] == "by-api"
    found = json.loads(cli("api", "POST", "/flows/filter", "--data", '{"limit": 1}'))
    assert [flow["id"] for flow in found] == [created["id"]]
    cli("api", "PATCH", f"/flows/{created['id']}", "--data", '{"tags": ["x"]}')
    assert runs.get(f"/flows/{created['id']}")["tags"] == ["x"]
    cli("api", "DELETE", f"/flows/{created['id']}")
    assert runs.post("/flows/count") == 0


# The command ends with 4 where the answer says that the request was wrong.
@pytest.mark.parametrize(
    ("status", "command"),
    [
        ("404", ("GET", "/flows/00000000-0000-0000-0000-000000000000")),
        ("404", ("GET", "/nowhere")),
        ("422", ("POST", "/flows/filter", "--data", '{"limit": 100000}')),
    ],
)
def test_refused_raw_requests(cli: WarmCli, status: str, command: tuple[str, ...]) -> None:
    assert status in cli.fails("api", *command, code=4)


def test_status_and_settings(cli: WarmCli, target: Target) -> None:
    assert "Server type" in cli("version")
    assert target.api_url in cli("config", "view")
    assert isinstance(cli.json("profile", "ls"), list)


def test_transfer(cli: WarmCli, prefect: PrefectClient, runs: Runs, target: Target) -> None:
    """From a server to itself: everything is read, and everything is there already."""
    runs.post("/variables/", {"name": "moved", "value": 1})
    runs.post("/work_pools/", {"name": "moved-pool", "type": "process"})
    runs.post("/v2/concurrency_limits/", {"name": "moved-limit", "limit": 2})
    flow = runs.post("/flows/", {"name": "moved-flow"})
    runs.post("/deployments/", {"name": "moved", "flow_id": flow["id"], "work_pool_name": "moved-pool"})
    for profile in ("here", "there"):
        cli("profile", "create", profile)
    profiles = "\n".join(f'[profiles.{name}]\nPREFECT_API_URL = "{target.api_url}"' for name in ("here", "there"))
    (prefect.home / "profiles.toml").write_text(profiles + "\n")
    output = cli("transfer", "--from", "here", "--to", "there", timeout=90)
    assert "moved" in output
    assert runs.post("/deployments/count") == 1
