"""Reading, counting, deleting deployments, and polling for their runs."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from tests.integration.deployments.conftest import HOURLY, Deployments


async def test_by_id_and_by_name(api: Deployments) -> None:
    name = f"flow-{uuid4()}"
    made = await api.deploy(flow_id=await api.flow(name), schedules=[{"schedule": HOURLY}])
    assert await api.get(f"/deployments/name/{name}/d") == made
    for path in (f"/deployments/{uuid4()}", f"/deployments/name/{name}/x"):
        assert await api.get(path, 404) == {"detail": "Deployment not found"}
    assert await api.get("/deployments/no-id", 404) == {"detail": "Not Found"}


async def test_lists(api: Deployments) -> None:
    flow_id = await api.flow()
    pool = await api.pool()
    for name in ("b", "a", "c"):
        await api.deploy(flow_id=flow_id, name=name, tags=[name], work_pool_name=pool if name == "c" else None)
    flows = {"id": {"any_": [flow_id]}}

    async def names(**body: object) -> list[str]:
        return [found["name"] for found in await api.post("/deployments/filter", {"flows": flows, **body})]

    assert await names(limit=None, sort=None, offset=0) == ["a", "b", "c"]
    assert await names(sort="NAME_DESC", limit=2, offset=1) == ["b", "a"]
    assert await names(sort="CREATED_DESC") == ["c", "a", "b"]
    assert await names(deployments={"tags": {"all_": ["b"]}}) == ["b"]
    assert await names(work_pools={"name": {"any_": [pool]}}) == ["c"]
    assert await api.post("/deployments/count", {"flows": flows}) == 3
    page = await api.post("/deployments/paginate", {"flows": flows, "limit": 2, "page": 2})
    assert [found["name"] for found in page.pop("results")] == ["c"]
    assert page == {"count": 3, "limit": 2, "pages": 2, "page": 2}
    refused = await api.post("/deployments/filter", {"limit": 201}, 422)
    assert refused == {"detail": "Invalid limit: must be less than or equal to 200."}


async def test_deleting_takes_what_waits(api: Deployments) -> None:
    made = await api.deploy(schedules=[{"schedule": HOURLY}], concurrency_limit=1)
    await api.plan(made["id"])
    manual = await api.run(made["id"])
    begun = await api.run(made["id"], state={"type": "RUNNING"})
    await api.delete(f"/deployments/{made['id']}")
    await api.delete(f"/deployments/{made['id']}", 404)
    assert [run["id"] for run in await api.runs(made["id"])] == [begun["id"]]
    assert await api.get(f"/flow_runs/{manual['id']}", 404)
    for table, column in (("deployment_schedule", "deployment_id"), ("deployment", "id")):
        assert not await api.scope.db.fetch(f"SELECT FROM {table} WHERE {column} = $1", made["id"])
    limit = made["global_concurrency_limit"]["id"]
    assert not await api.scope.db.fetch("SELECT FROM concurrency_limit WHERE id = $1", limit)
    deleted = (await api.events(made["id"]))[-1]
    assert deleted["event"] == "prefect.deployment.deleted"
    assert [related["prefect.resource.role"] for related in deleted["related"]] == ["flow", "concurrency-limit"]


async def test_deleting_many(api: Deployments) -> None:
    flow_id = await api.flow()
    tag = str(uuid4())
    ids = [(await api.deploy(flow_id=flow_id, name=name, tags=[tag]))["id"] for name in ("b", "a", "c")]
    body = {"deployments": {"tags": {"all_": [tag]}}, "limit": 2}
    assert await api.post("/deployments/bulk_delete", body) == {"deleted": [ids[1], ids[0]]}
    assert await api.post("/deployments/bulk_delete", body) == {"deleted": [ids[2]]}
    assert await api.post("/deployments/bulk_delete", body) == {"deleted": []}
    await api.post("/deployments/bulk_delete", {"limit": 51}, 422)


async def test_queues_of_older_agents(api: Deployments) -> None:
    made = await api.deploy(tags=["x", "y"])
    other = str(uuid4())
    for name, filter in {
        "fits": {"tags": ["x"]}, "all": {"tags": [], "deployment_ids": []}, "named": {"deployment_ids": [made["id"]]},
        "tags": {"tags": ["x", "z"]}, "other": {"tags": ["x"], "deployment_ids": [other]}, "none": None,
    }.items():  # fmt: skip
        await api.post("/work_queues/", {"name": name, "filter": filter}, 201)
    found = await api.get(f"/deployments/{made['id']}/work_queue_check")
    assert [queue["name"] for queue in found] == ["all", "fits", "named"]
    assert await api.get(f"/deployments/{uuid4()}/work_queue_check", 404) == {"detail": "Deployment not found"}


async def test_polling_finds_due_runs_in_order(api: Deployments) -> None:
    one, two = [(await api.deploy())["id"] for _ in range(2)]
    now = datetime.now(UTC)

    async def run(id: str, minutes: float) -> str:
        when = (now + timedelta(minutes=minutes)).isoformat()
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": when}}
        return str((await api.run(id, state=state))["id"])

    late, later, due = await run(one, -2), await run(one, 9), await run(two, -1)
    await api.run(one, state={"type": "PENDING"})
    body = {"deployment_ids": [one, two, str(uuid4())]}
    found = await api.post("/deployments/get_scheduled_flow_runs", {**body, "scheduled_before": f"{now}"})
    assert [run["id"] for run in found] == [late, due]
    assert found[0]["state"]["type"] == "SCHEDULED"
    found = await api.post("/deployments/get_scheduled_flow_runs", body)
    assert [run["id"] for run in found] == [late, due, later]
    found = await api.post("/deployments/get_scheduled_flow_runs", {**body, "limit": 1})
    assert [run["id"] for run in found] == [late]
    await api.post("/deployments/get_scheduled_flow_runs", {}, 422)


async def test_polling_makes_ready_once(api: Deployments) -> None:
    made = await api.deploy()
    await api.post("/deployments/get_scheduled_flow_runs", {"deployment_ids": [made["id"]]})
    await api.readiness.flush()
    ready = await api.read(made["id"])
    assert ready["status"] == "READY"
    assert ready["last_polled"] is not None
    assert ready["updated"] == made["updated"]
    await api.post("/deployments/get_scheduled_flow_runs", {"deployment_ids": [made["id"]]})
    await asyncio.gather(api.readiness.flush(), api.readiness.flush())
    assert await api.event_names(made["id"]) == ["created", "ready"]


async def test_another_workspaces_poll_has_no_effect(api: Deployments) -> None:
    made = await api.deploy()
    api.readiness.mark_deployments(uuid4(), [uuid4()])
    api.readiness.mark_deployments(uuid4(), [made["id"]])
    await api.readiness.flush()
    assert (await api.read(made["id"]))["status"] == "NOT_READY"


async def test_a_polled_queue_is_ready_with_its_deployments(api: Deployments) -> None:
    pool = await api.pool()
    made = await api.deploy(work_pool_name=pool)
    paused = await api.deploy(work_pool_name=pool, work_queue_name="paused")
    await api.patch(f"/work_pools/{pool}/queues/paused", {"is_paused": True})
    api.readiness.start()
    queues = [made["work_queue_id"], paused["work_queue_id"]]
    api.readiness.mark_queues(queues)
    await api.readiness.stop()
    rows = await api.scope.db.fetch(
        "SELECT status, last_polled FROM work_queue WHERE id = ANY($1) ORDER BY name", queues
    )
    assert [row["status"] for row in rows] == ["READY", "PAUSED"]
    assert all(row["last_polled"] for row in rows)
    assert {(await api.read(id))["status"] for id in (made["id"], paused["id"])} == {"READY"}
    api.readiness.mark_queues(queues)
    await api.readiness.flush()
    events = await api.scope.db.fetch(
        "SELECT event FROM event WHERE resource_id = $1 ORDER BY seq", f"prefect.work-queue.{made['work_queue_id']}"
    )
    assert [row["event"] for row in events] == ["prefect.work-queue.created", "prefect.work-queue.ready"]
