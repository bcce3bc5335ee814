"""`sempre transfer` between two servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import open_target
from tests.support.belongings import EVERYTHING, automation, own
from tests.support.own_cli import OwnCli
from tests.support.runs import Json, Runs, open_api
from tests.support.servers import Target


@pytest.fixture(scope="module")
def other(request: pytest.FixtureRequest, workdir: Path) -> Iterator[Target]:
    with open_target(request, workdir / "other") as opened:
        yield opened


@pytest.fixture(scope="module")
def new(other: Target) -> Iterator[Runs]:
    with open_api(other.api_url) as client:
        yield Runs(client)


@pytest.fixture(scope="module")
def old(runs: Runs, new: Runs) -> Runs:
    """The first server, with its belongings, and without the block types that other files left behind."""
    known = {kind["slug"] for kind in new.post("/block_types/filter", {"limit": 200})}
    for kind in runs.post("/block_types/filter", {"limit": 200}):
        if kind["slug"] not in known:
            runs.api.delete(f"/block_types/{kind['id']}").raise_for_status()
    own(runs)
    return runs


def copy(cli: OwnCli, target: Target, other: Target, *options: str, code: int = 0) -> Any:
    return cli.json("transfer", "--from", target.api_url, "--to", other.api_url, *options, code=code)


def totals(document: Json, result: str) -> dict[str, int]:
    return {kind: found[result] for kind, found in document["summary"].items() if found[result]}


def test_a_dry_run_changes_nothing(cli: OwnCli, target: Target, other: Target, old: Runs, new: Runs) -> None:
    planned = copy(cli, target, other, "--dry-run")
    # The pool's own queue comes with the pool.
    assert totals(planned, "created") == {**EVERYTHING, "work queues": 2}
    assert totals(planned, "failed") == {}
    assert new.post("/flows/count") == 0


def test_everything_is_copied_once(cli: OwnCli, target: Target, other: Target, old: Runs, new: Runs) -> None:
    first = copy(cli, target, other)
    assert totals(first, "failed") == {}, first["outcomes"]
    assert totals(first, "created") == EVERYTHING
    deployment, theirs = (each.get("/deployments/name/flow-1/nightly") for each in (new, old))
    for member in ("parameters", "entrypoint", "work_pool_name", "work_queue_name", "tags"):
        assert deployment[member] == theirs[member], member
    assert deployment["global_concurrency_limit"]["limit"] == 2
    (schedule,) = deployment["schedules"]
    assert (schedule["slug"], schedule["active"]) == ("hourly", True)
    assert schedule["schedule"] == theirs["schedules"][0]["schedule"]
    assert [queue["name"] for queue in queues(new)] == ["fast", "default"]
    assert new.get("/variables/name/bucket")["value"] == {"a": None}
    block = new.get("/block_types/slug/moved/block_documents/name/main", include_secrets="true")
    assert block["data"] == {"level": 1, "key": "hidden-value"}
    twins = {item["trigger"]["match"]["prefect.resource.id"]: item for item in new.post("/automations/filter")}
    for number in range(3):
        mine = new.get(f"/deployments/name/flow-{number}/nightly")["id"]
        automation = twins[f"prefect.deployment.{mine}"]
        assert automation["actions"][0]["deployment_id"] == mine
        assert automation["actions"][1]["work_pool_id"] == new.get("/work_pools/pool")["id"]
    again = copy(cli, target, other)
    assert [item for item in again["outcomes"] if item["result"] != "equal"] == []


def queues(runs: Runs) -> list[Json]:
    found: list[Json] = runs.post("/work_pools/pool/queues/filter")
    return sorted(found, key=lambda queue: int(queue["priority"]))


def test_what_is_missing_is_made_again(cli: OwnCli, target: Target, other: Target, old: Runs, new: Runs) -> None:
    """As after an interruption."""
    for item in new.post("/automations/filter", {"automations": {"name": {"any_": ["twin"]}}}):
        new.api.delete(f"/automations/{item['id']}")
    deployment = new.get("/deployments/name/flow-2/nightly")
    new.api.delete(f"/deployments/{deployment['id']}")
    resumed = copy(cli, target, other)
    assert totals(resumed, "created") == {"deployments": 1, "automations": 2}
    assert totals(resumed, "failed") == {}


def test_what_differs_stays_unless_asked(cli: OwnCli, target: Target, other: Target, old: Runs, new: Runs) -> None:
    new.api.patch("/variables/name/bucket", json={"value": "ours"}).raise_for_status()
    shown = cli("transfer", "--from", target.api_url, "--to", other.api_url)
    assert "variables: bucket: in value, tags" in shown or "variables: bucket: in value" in shown
    assert new.get("/variables/name/bucket")["value"] == "ours"
    changed = copy(cli, target, other, "--overwrite", "--only", "variables")
    assert totals(changed, "changed") == {"variables": 1}
    assert new.get("/variables/name/bucket")["value"] == {"a": None}
    deployment = new.get("/deployments/name/flow-0/nightly")
    new.api.delete(f"/deployments/{deployment['id']}").raise_for_status()
    paused = copy(cli, target, other, "--pause-schedules")
    assert totals(paused, "created") == {"deployments": 1}
    assert totals(paused, "differs") == {"automations": 1}, "the one that names the deployment that is gone"
    active = [new.get(f"/deployments/name/flow-{n}/nightly")["schedules"][0]["active"] for n in range(2)]
    assert active == [False, True], "what runs there goes on running"


def test_what_cannot_be_copied_is_said(cli: OwnCli, target: Target, other: Target, old: Runs, new: Runs) -> None:
    broken = automation("broken", "00000000-0000-4000-8000-000000000000", old.get("/work_pools/pool")["id"])
    made = old.api.post("/automations/", json=broken)
    if made.status_code != 201:
        pytest.skip("a server that refuses automations of nothing")
    shown = cli.fails("transfer", "--from", target.api_url, "--to", other.api_url)
    assert "broken: it refers to 00000000" in shown
    assert "1 could not be copied" in shown


def test_refusals(cli: OwnCli, target: Target) -> None:
    assert "nobody" in cli.fails("transfer", "--from", "nobody", "--to", target.api_url)
    assert "there are block types" in cli.fails("transfer", "--from", "x", "--to", "y", "--only", "z")
    cli.fails("transfer", "--from", target.api_url, code=2)
