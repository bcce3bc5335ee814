"""`sempre transfer` between two servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import open_target
from tests.support.own_cli import OwnCli
from tests.support.runs import Json, Runs, open_api
from tests.support.servers import Target

FIELDS = {
    "type": "object",
    "properties": {"level": {"type": "integer"}, "key": {"type": "string", "format": "password", "writeOnly": True}},
    "secret_fields": ["key"],
}


@pytest.fixture(scope="module")
def other(request: pytest.FixtureRequest, workdir: Path) -> Iterator[Target]:
    with open_target(request, workdir / "other") as opened:
        yield opened


@pytest.fixture(scope="module")
def new(other: Target) -> Iterator[Runs]:
    with open_api(other.api_url) as client:
        yield Runs(client)


@pytest.fixture(scope="module")
def old(runs: Runs) -> Runs:
    """The first server, with two of nearly everything."""
    kind = runs.post("/block_types/", {"name": "Moved", "slug": "moved"})
    schema = runs.post("/block_schemas/", {"block_type_id": kind["id"], "fields": FIELDS})
    block = {"block_type_id": kind["id"], "block_schema_id": schema["id"]}
    runs.post("/block_documents/", {**block, "name": "main", "data": {"level": 1, "key": "hidden-value"}})
    template = {"job_configuration": {"command": "{{ c }}"}, "variables": {"properties": {"c": {"type": "string"}}}}
    pool = runs.post("/work_pools/", {"name": "pool", "type": "process", "base_job_template": template})
    runs.post("/work_pools/pool/queues", {"name": "fast", "priority": 1, "concurrency_limit": 3})
    flows = [runs.post("/flows/", {"name": f"flow-{number}", "tags": ["t"]}) for number in range(3)]
    runs.post("/variables/", {"name": "bucket", "value": {"a": None}, "tags": ["x"]})
    runs.post("/variables/", {"name": "nothing", "value": None})
    runs.post("/concurrency_limits/", {"tag": "db", "concurrency_limit": 4})
    runs.post("/v2/concurrency_limits/", {"name": "calls", "limit": 5, "slot_decay_per_second": 0.5})
    interval = {"schedule": {"interval": 3600, "anchor_date": "2026-01-01T00:00:00Z", "timezone": "Europe/Berlin"}}
    body = {
        "work_pool_name": "pool", "work_queue_name": "fast", "parameters": {"n": 1}, "entrypoint": "f.py:f",
        "concurrency_limit": 2, "schedules": [{**interval, "slug": "hourly", "active": True}], "tags": ["d"],
    }  # fmt: skip
    made = [runs.post("/deployments/", {**body, "name": "nightly", "flow_id": flow["id"]}) for flow in flows]
    runs.post("/automations/", automation("first", made[0]["id"], pool["id"]))
    runs.post("/automations/", automation("twin", made[1]["id"], pool["id"]))
    runs.post("/automations/", automation("twin", made[2]["id"], pool["id"]))
    return runs


def automation(name: str, deployment: str, pool: str) -> Json:
    trigger: dict[str, Any] = {
        "type": "event", "posture": "Reactive", "expect": ["a.b"], "threshold": 1, "within": 0,
        "match": {"prefect.resource.id": f"prefect.deployment.{deployment}"},
    }  # fmt: skip
    actions = [
        {"type": "run-deployment", "source": "selected", "deployment_id": deployment},
        {"type": "pause-work-pool", "source": "selected", "work_pool_id": pool},
    ]
    return {"name": name, "trigger": trigger, "actions": actions}


def copy(cli: OwnCli, target: Target, other: Target, *options: str, code: int = 0) -> Any:
    return cli.json("transfer", "--from", target.api_url, "--to", other.api_url, *options, code=code)


def totals(document: Json, result: str) -> dict[str, int]:
    return {kind: found[result] for kind, found in document["summary"].items() if found[result]}


EVERYTHING = {
    "block types": 1, "block schemas": 1, "blocks": 1, "work pools": 1, "work queues": 1, "flows": 3, "variables": 2,
    "tag limits": 1, "global limits": 1, "deployments": 3, "automations": 3,
}  # fmt: skip


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
