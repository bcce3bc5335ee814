"""Making, changing and deleting pools, and the events that say so."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.work_pools.support import Pools

TEMPLATE = {
    "job_configuration": {"command": "{{ command }}"},
    "variables": {"properties": {"command": {"type": "string", "default": "run"}}, "required": []},
}


async def test_a_new_pool(pools: Pools) -> None:
    pool = await pools.pool(base_job_template=TEMPLATE, concurrency_limit=3)
    assert pool["status"] == "NOT_READY"
    assert pool["active_slots"] == 0
    assert pool["storage_configuration"] == {
        "bundle_upload_step": None,
        "bundle_execution_step": None,
        "default_result_storage_block_id": None,
    }
    assert await pools.get("/work_pools/p") == pool
    assert await pools.post("/work_pools/filter", {"work_pools": {"name": {"any_": ["p"]}}}) == [pool]
    assert await pools.post("/work_pools/count", {"work_pools": {"type": {"any_": ["docker"]}}}) == 0
    default = await pools.get("/work_pools/p/queues/default")
    assert default["id"] == pool["default_queue_id"]
    assert (default["priority"], default["description"]) == (1, "The work pool's default queue.")
    assert await pools.event_names() == ["work-queue.created", "work-pool.created", "work-pool.not-ready"]
    created = (await pools.events())[1]
    assert created["resource"]["prefect.work-pool.type"] == "process"
    assert [label["prefect.resource.role"] for label in created["related"]] == ["default-queue"]


async def test_old_clients_are_spared_what_they_refuse(pools: Pools) -> None:
    await pools.pool()
    old = {"User-Agent": "prefect/3.3.7 (API 0.8.4)"}
    storage = (await pools.api.get("/work_pools/p", headers=old)).json()["storage_configuration"]
    assert set(storage) == {"bundle_upload_step", "bundle_execution_step"}


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"name": "Prefect-x"}, 403, "Work pools starting with 'Prefect' are reserved for internal use."),
        ({"name": "p"}, 409, "A work pool with this name already exists."),
        ({"name": " ' "}, 422, "name cannot be an empty string"),
        ({"name": "q", "base_job_template": {"variables": {}}}, 422, "must contain both a `job_configuration` key"),
        (
            {"name": "q", "base_job_template": {**TEMPLATE, "job_configuration": {"a": "{{ x }}"}}},
            422,
            "undeclared variable(s): x.",
        ),
        (
            {
                "name": "q",
                "base_job_template": {
                    "job_configuration": {"a": "{{ a }}"},
                    "variables": {"properties": {"a": {"type": "integer", "default": "one"}}},
                },
            },
            422,
            "Validation failed for work pool's job variable defaults: ",
        ),
        (
            {
                "name": "q",
                "base_job_template": {
                    "job_configuration": {"a": "{{ a }}"},
                    "variables": {
                        "properties": {
                            "a": {
                                "type": "string",
                                "default": {"$ref": {"block_document_id": "11111111-1111-4111-8111-111111111111"}},
                            }
                        }
                    },
                },
            },
            404,
            "Block not found.",
        ),
        ({"name": "q", "surprise": 1}, 422, "Extra inputs are not permitted"),
    ],
)
async def test_pools_that_cannot_be_made(pools: Pools, body: dict[str, object], status: int, text: str) -> None:
    await pools.pool()
    answer = await pools.api.post("/work_pools/", json={"type": "process", **body})
    assert answer.status_code == status
    shown = answer.json()
    messages = [item["msg"] for item in shown.get("exception_detail", [])] or [shown["detail"]]
    assert any(text in message for message in messages), messages


async def test_one_of_many_equal_creations_wins(pools: Pools) -> None:
    body = {"name": "p", "type": "process"}
    answers = await asyncio.gather(*(pools.api.post("/work_pools/", json=body) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409, 409]
    assert len(await pools.event_names()) == 3


async def test_pausing_and_resuming(pools: Pools) -> None:
    await pools.pool()
    await pools.patch("/work_pools/p", {"is_paused": True})
    assert (await pools.get("/work_pools/p"))["status"] == "PAUSED"
    await pools.patch("/work_pools/p", {"is_paused": True})
    await pools.post("/work_pools/p/workers/heartbeat", {"name": "w", "metadata": {}, "return_id": True}, 204)
    assert (await pools.get("/work_pools/p"))["status"] == "PAUSED"
    await pools.patch("/work_pools/p", {"is_paused": False})
    assert (await pools.get("/work_pools/p"))["status"] == "READY"
    statuses = (await pools.events())[3:]
    assert [event["event"] for event in statuses] == [
        "prefect.work-pool.paused",
        "prefect.work-pool.paused",
        "prefect.work-pool.ready",
    ]
    assert [event["follows"] for event in statuses] == [None, statuses[0]["id"], statuses[1]["id"]]


async def test_what_changes_is_said(pools: Pools) -> None:
    await pools.pool()
    await pools.patch("/work_pools/p", {"concurrency_limit": 5, "description": None})
    await pools.patch("/work_pools/p", {"concurrency_limit": 5})
    await pools.patch("/work_pools/p", {"storage_configuration": {"bundle_upload_step": {"a": 1}}})
    updates = [event["payload"] for event in (await pools.events())[3:]]
    assert [payload["updated_fields"] for payload in updates] == [["concurrency_limit"], ["storage_configuration"]]
    assert updates[0]["updates"] == {"concurrency_limit": {"from": None, "to": 5}}
    await pools.patch("/work_pools/p", {"concurrency_limit": None})
    assert (await pools.get("/work_pools/p"))["active_slots"] is None


async def test_what_cannot_be_changed(pools: Pools) -> None:
    await pools.pool()
    assert (await pools.patch("/work_pools/prefect-x", {"description": "d"}, 403))["detail"].endswith(
        "can only be updated to set concurrency limits or pause."
    )
    assert await pools.patch("/work_pools/prefect-x", {"is_paused": True}, 404) == {
        "detail": 'Work pool "prefect-x" not found.'
    }
    await pools.patch("/work_pools/p", {"base_job_template": None}, 422)
    await pools.patch("/work_pools/p", {"name": "q"}, 422)
    assert (await pools.delete("/work_pools/prefect-x", 403))["detail"].endswith("can not be deleted.")


async def test_deleting_takes_queues_and_workers_and_leaves_runs(pools: Pools) -> None:
    pool = await pools.pool()
    queue = await pools.queue("q")
    run_id = await pools.run(queue["id"], "left", work_queue_name="q")
    await pools.post("/work_pools/p/workers/heartbeat", {"name": "w"}, 204)
    before = len(await pools.event_names())
    await pools.delete("/work_pools/p")
    await pools.get("/work_pools/p", 404)
    assert (await pools.event_names())[before:] == ["work-queue.deleted", "work-queue.deleted", "work-pool.deleted"]
    run = await pools.scope.db.fetchrow("SELECT * FROM flow_run WHERE id = $1", run_id)
    assert run is not None
    assert (run["work_queue_id"], run["work_queue_name"]) == (None, "q")
    for table in ("work_queue", "worker"):
        assert await pools.scope.db.fetchval(f"SELECT count(*) FROM {table}") == 0
    assert pool["id"] != (await pools.pool())["id"]


async def test_who_holds_the_slots(pools: Pools) -> None:
    pool = await pools.pool(concurrency_limit=9)
    await pools.queue("q", concurrency_limit=4)
    for name, state in (("a", "RUNNING"), ("b", "PENDING"), ("c", "SCHEDULED"), ("d", "CANCELLING")):
        await pools.run(pool["default_queue_id"], name, state=state)
    status = await pools.post("/work_pools/p/concurrency_status", {"flow_run_limit": 1, "limit": 1})
    assert {key: status[key] for key in ("active_slots", "concurrency_limit", "count", "limit", "page", "pages")} == {
        "active_slots": 2,
        "concurrency_limit": 9,
        "count": 2,
        "limit": 1,
        "page": 1,
        "pages": 2,
    }
    (queue,) = status["queues"]
    assert (queue["queue_name"], queue["active_slots"], queue["flow_run_count"]) == ("default", 2, 2)
    assert [run["name"] for run in queue["flow_runs"]] == ["a"]
    assert queue["flow_runs"][0]["time_in_current_state"] >= 0
    missing = await pools.post("/work_pools/x/concurrency_status", {}, 404)
    assert missing == {"detail": "Work pool 'x' not found."}
