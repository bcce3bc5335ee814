"""`prefect work-queue`: queues of pools, and the default agent pool's."""

from __future__ import annotations

import pytest

from tests.support.runs import Json, Runs
from tests.support.warm_cli import WarmCli

POOL = "queue-pool"


@pytest.fixture(scope="module")
def pool(runs: Runs) -> Json:
    created: Json = runs.post("/work_pools/", {"name": POOL, "type": "process"})
    return created


def test_create_read_change_delete(cli: WarmCli, runs: Runs, pool: Json) -> None:
    path = f"/work_pools/{POOL}/queues/fast"
    cli("work-queue", "create", "fast", "--pool", POOL, "--limit", "4", "--priority", "1")
    created = runs.get(path)
    assert (created["concurrency_limit"], created["priority"]) == (4, 1)
    assert runs.get(f"/work_pools/{POOL}/queues/default")["priority"] == 2, "made room for the new one"
    inspected = cli.json("work-queue", "inspect", "fast", "--pool", POOL)
    assert inspected["id"] == created["id"]
    cli("work-queue", "set-concurrency-limit", "fast", "6", "--pool", POOL)
    assert runs.get(path)["concurrency_limit"] == 6
    assert "fast" in cli("work-queue", "slots", "fast", "--pool", POOL)
    cli("work-queue", "clear-concurrency-limit", "fast", "--pool", POOL)
    assert runs.get(path)["concurrency_limit"] is None
    cli("work-queue", "pause", "fast", "--pool", POOL)
    assert runs.get(path)["is_paused"] is True
    cli("work-queue", "resume", "fast", "--pool", POOL)
    assert runs.get(path)["is_paused"] is False
    queues = cli.json("work-queue", "ls", "--pool", POOL)
    assert {queue["name"] for queue in queues} == {"default", "fast"}
    assert "fast" in cli("work-queue", "ls", "--pool", POOL, "--verbose")
    cli("work-queue", "delete", "fast", "--pool", POOL)
    assert [queue["name"] for queue in runs.post(f"/work_pools/{POOL}/queues/filter")] == ["default"]


def test_runs_of_a_queue(cli: WarmCli, runs: Runs, pool: Json) -> None:
    flow = runs.post("/flows/", {"name": "queued"})
    body = {"name": "d", "flow_id": flow["id"], "work_pool_name": POOL, "work_queue_name": "waiting"}
    deployment = runs.post("/deployments/", body)
    run = runs.post(f"/deployments/{deployment['id']}/create_flow_run")
    assert run["id"] in cli("work-queue", "preview", "waiting", "--pool", POOL)
    assert "1" in cli("work-queue", "read-runs", "waiting", "--pool", POOL)


def test_queue_without_pool(cli: WarmCli, runs: Runs) -> None:
    cli("work-queue", "create", "alone")
    assert runs.get("/work_queues/name/alone")["work_pool_name"] == "default-agent-pool"
    assert "alone" in cli("work-queue", "inspect", "alone")
    assert "alone" in cli("work-queue", "ls")
    cli("work-queue", "delete", "alone")


def test_refusals(cli: WarmCli, runs: Runs, pool: Json) -> None:
    cli("work-queue", "create", "twice", "--pool", POOL)
    assert "already exists" in cli.fails("work-queue", "create", "twice", "--pool", POOL)
    assert "missing" in cli.fails("work-queue", "create", "q", "--pool", "missing")
    for command in (("inspect",), ("pause",), ("resume",), ("delete",), ("read-runs",), ("clear-concurrency-limit",)):
        assert "missing" in cli.fails("work-queue", *command, "missing", "--pool", POOL)
    cli("work-queue", "delete", "twice", "--pool", POOL)
