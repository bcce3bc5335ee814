"""Artifacts, and the collections that always show the latest of a key."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

from tests.support.rooms import Rooms


def key() -> str:
    return f"k-{uuid4().hex[:10]}"


async def create(rooms: Rooms, **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = await rooms.post("/artifacts/", fields, 201)
    return made


async def latest(rooms: Rooms, key: str) -> dict[str, Any] | None:
    found = await rooms.post("/artifacts/latest/filter", {"artifacts": {"key": {"any_": [key]}}})
    assert len(found) <= 1
    return found[0] if found else None


async def test_a_collection_follows_its_newest_artifact(rooms: Rooms) -> None:
    k, run = key(), str(uuid4())
    first = await create(rooms, key=k, type="markdown", data="# one", description="d", flow_run_id=run)
    begun = await latest(rooms, k)
    assert begun is not None
    assert (begun["latest_id"], begun["data"], begun["flow_run_id"]) == (first["id"], "# one", run)
    second = await create(rooms, key=k, data={"two": [2]})
    moved = await latest(rooms, k)
    assert moved is not None
    assert (moved["id"], moved["created"]) == (begun["id"], begun["created"])
    assert (moved["latest_id"], moved["data"], moved["type"], moved["flow_run_id"]) == (
        second["id"], {"two": [2]}, None, None,
    )  # fmt: skip
    by_key = await rooms.get(f"/artifacts/{k}/latest")
    assert by_key["id"] == begun["id"]
    assert "latest_id" not in by_key
    versions = await rooms.post("/artifacts/filter", {"artifacts": {"key": {"any_": [k]}}, "sort": None})
    assert [version["id"] for version in versions] == [second["id"], first["id"]]
    events = await rooms.events(f"prefect.artifact-collection.{begun['id']}")
    assert [event["event"].rpartition(".")[2] for event in events] == ["created", "updated"]
    assert events[0]["payload"] == {"key": k, "type": "markdown", "data": "# one", "description": "d"}
    assert [r["prefect.resource.role"] for r in events[0]["related"]] == ["latest", "flow-run"]


async def test_changes_show_in_the_collection_only_from_the_latest(rooms: Rooms) -> None:
    k = key()
    first, second = await create(rooms, key=k, data=1.0), await create(rooms, key=k, data=2.0)
    await rooms.patch(f"/artifacts/{first['id']}", {"data": 10})
    await rooms.patch(f"/artifacts/{second['id']}", {"data": 20, "description": "twenty"})
    shown = await latest(rooms, k)
    assert shown is not None
    assert (shown["data"], shown["description"]) == (20, "twenty")
    assert (await rooms.get(f"/artifacts/{first['id']}"))["data"] == 10
    await rooms.patch(f"/artifacts/{uuid4()}", {"data": 1}, 404)


async def test_deletion_repoints_and_the_last_takes_the_collection(rooms: Rooms) -> None:
    k = key()
    first, second, third = [await create(rooms, key=k, data=n) for n in range(3)]
    collection = await latest(rooms, k)
    assert collection is not None
    await rooms.delete(f"/artifacts/{second['id']}")
    assert (await latest(rooms, k) or {})["latest_id"] == third["id"]
    await rooms.delete(f"/artifacts/{third['id']}")
    left = await latest(rooms, k)
    assert left is not None
    assert (left["id"], left["latest_id"], left["data"]) == (collection["id"], first["id"], 0)
    assert left["created"] == first["created"]
    await rooms.delete(f"/artifacts/{first['id']}")
    assert await latest(rooms, k) is None
    assert await rooms.get(f"/artifacts/{k}/latest", 404) == {"detail": "Artifact not found."}
    await rooms.delete(f"/artifacts/{first['id']}", 404)
    events = await rooms.events(f"prefect.artifact-collection.{collection['id']}")
    changes = [event["event"].rpartition(".")[2] for event in events]
    assert changes == ["created", "updated", "updated", "updated", "deleted"]


async def test_many_writers_of_one_key_leave_a_collection_that_holds(rooms: Rooms) -> None:
    k = key()
    made = await asyncio.gather(*(create(rooms, key=k, data=n) for n in range(12)))
    doomed = [artifact["id"] for artifact in made[:8]]
    await asyncio.gather(*(rooms.delete(f"/artifacts/{id}") for id in doomed), create(rooms, key=k, data="new"))
    shown = await latest(rooms, k)
    assert shown is not None
    assert shown["latest_id"] not in doomed
    assert (await rooms.get(f"/artifacts/{shown['latest_id']}"))["data"] == shown["data"]
    assert await rooms.post("/artifacts/count", {"artifacts": {"key": {"any_": [k]}}}) == 5


async def test_an_empty_key_counts_and_none_does_not(rooms: Rooms) -> None:
    await create(rooms, key="", data=1)
    await create(rooms, type="keyless", data=2)
    assert await latest(rooms, "") is not None
    one = {"artifacts": {"type": {"any_": ["keyless"]}}}
    assert await rooms.post("/artifacts/count", one) == 1
    assert await rooms.post("/artifacts/latest/count", one) == 0
    assert await rooms.post("/artifacts/count", {"artifacts": {"key": {"exists_": False}}}) >= 1
    await rooms.post("/artifacts/", {"key": "Not A Slug"}, 422)
    await rooms.post("/artifacts/", {"unknown": 1}, 422)


async def test_filters_by_the_runs_that_made_them(rooms: Rooms) -> None:
    flow = await rooms.post("/flows/", {"name": f"f-{uuid4()}"}, 201)
    run = await rooms.post("/flow_runs/", {"flow_id": flow["id"], "tags": ["mine"]}, 201)
    task = await rooms.post("/task_runs/", {"flow_run_id": run["id"], "task_key": "t", "dynamic_key": "0"}, 201)
    k = key()
    of_run = await create(rooms, key=k, flow_run_id=run["id"])
    of_task = await create(rooms, key=k, flow_run_id=run["id"], task_run_id=task["id"])
    await create(rooms, key=k)

    async def ids(**filters: Any) -> list[str]:
        body = {"artifacts": {"key": {"any_": [k]}}, "sort": "CREATED_DESC", **filters}
        return [artifact["id"] for artifact in await rooms.post("/artifacts/filter", body)]

    both = [of_task["id"], of_run["id"]]
    assert await ids(flow_runs={"tags": {"all_": ["mine"]}}) == both
    assert await ids(flows={"id": {"any_": [flow["id"]]}}) == both
    assert await ids(flow_runs={}) == both
    assert await ids(task_runs={"id": {"any_": [task["id"]]}}) == [of_task["id"]]
    assert await ids(deployments={}) == []


async def test_creating_twice_with_one_id_creates_once(rooms: Rooms) -> None:
    k, id = key(), str(uuid4())
    first, *others = await asyncio.gather(*(create(rooms, id=id, key=k, data="one") for _ in range(5)))
    assert first["id"] == id
    assert all(other == first for other in others)
    newer = await create(rooms, key=k, data="two")
    assert await create(rooms, id=id, key=k, data="one") == first
    shown = await latest(rooms, k)
    assert shown is not None
    assert shown["latest_id"] == newer["id"], "a repeated creation does not become the newest again"
    events = await rooms.events(f"prefect.artifact-collection.{shown['id']}")
    assert [event["event"].rpartition(".")[2] for event in events] == ["created", "updated"]


async def test_an_id_of_another_workspace_is_not_answered_with(rooms: Rooms) -> None:
    id = uuid4()
    await rooms.scope.db.execute("INSERT INTO artifact (id, workspace_id, data) VALUES ($1, $2, $3)", id, uuid4(), 1)
    refused = await rooms.post("/artifacts/", {"id": str(id), "data": 2}, 409)
    assert "another artifact" in str(refused)
