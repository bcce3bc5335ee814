"""Variables by id and by name."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from tests.support.rooms import Rooms


def name() -> str:
    return f"v-{uuid4().hex[:10]}"


@pytest.mark.parametrize("value", ["text", 5, 1.5, True, None, {"a": [1, None]}, []])
async def test_any_json_value_survives(rooms: Rooms, value: Any) -> None:
    made = await rooms.post("/variables/", {"name": name(), "value": value}, 201)
    assert await rooms.get(f"/variables/{made['id']}") == made
    assert await rooms.get(f"/variables/name/{made['name']}") == made
    assert made["value"] == value
    assert made["tags"] == []


async def test_a_taken_name_is_refused_once_for_each_of_many(rooms: Rooms) -> None:
    taken = name()
    answers = await asyncio.gather(
        *(rooms.http.post("/api/variables/", json={"name": taken, "value": n}) for n in range(8))
    )
    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 7]
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert refused.json() == {"detail": f"A variable with the name '{taken}' already exists."}


async def test_changes_events_and_the_end(rooms: Rooms) -> None:
    made = await rooms.post("/variables/", {"name": name(), "value": "a", "tags": ["t"]}, 201)
    await rooms.patch(f"/variables/{made['id']}", {"value": None})
    assert (await rooms.get(f"/variables/{made['id']}"))["value"] is None
    other = name()
    await rooms.patch(f"/variables/name/{made['name']}", {"name": other, "value": {"b": 1}})
    changed = await rooms.get(f"/variables/name/{other}")
    assert (changed["id"], changed["value"], changed["tags"]) == (made["id"], {"b": 1}, ["t"])
    await rooms.delete(f"/variables/name/{other}")
    assert await rooms.get(f"/variables/name/{other}", 404) == {"detail": "Variable not found."}
    assert await rooms.delete(f"/variables/{made['id']}", 404) == {"detail": "Variable not found."}
    events = await rooms.events(f"prefect.variable.{made['id']}")
    assert [event["event"].rpartition(".")[2] for event in events] == ["created", "updated", "updated", "deleted"]
    assert events[-1]["payload"] == {"name": other, "value": {"b": 1}, "tags": ["t"]}


async def test_what_cannot_be_written(rooms: Rooms) -> None:
    one = await rooms.post("/variables/", {"name": name(), "value": 1}, 201)
    two = await rooms.post("/variables/", {"name": name(), "value": 2}, 201)
    await rooms.patch(f"/variables/{one['id']}", {"name": two["name"]}, 409)
    await rooms.patch(f"/variables/{one['id']}", {"tags": None}, 409)
    await rooms.patch(f"/variables/{uuid4()}", {}, 404)
    await rooms.post("/variables/", {"name": "Upper", "value": 1}, 422)
    await rooms.post("/variables/", {"name": name()}, 422)
    await rooms.get("/variables/not-a-uuid", 404)
    assert (await rooms.get(f"/variables/{one['id']}"))["name"] == one["name"]


async def test_lists(rooms: Rooms) -> None:
    mark = uuid4().hex[:8]
    for n, tags in ((1, ["x", "y"]), (2, ["x"]), (3, [])):
        await rooms.post("/variables/", {"name": f"list-{mark}-{n}", "value": n, "tags": tags}, 201)

    async def values(filter: dict[str, Any], **more: Any) -> list[int]:
        like = {"name": {"like_": f"list-{mark}"}}
        found = await rooms.post("/variables/filter", {"variables": {**like, **filter}, **more})
        return [variable["value"] for variable in found]

    assert await values({}) == [1, 2, 3]
    assert await values({}, sort="NAME_DESC", offset=None, limit=None) == [3, 2, 1]
    assert await values({}, offset=1, limit=1) == [2]
    assert await values({"tags": {"all_": ["x", "y"]}}) == [1]
    assert await values({"tags": {"is_null_": True}}) == [3]
    assert await values({"id": {"any_": []}}) == []
    filter = {"name": {"any_": [f"list-{mark}-1", f"list-{mark}-3"]}}
    assert await rooms.post("/variables/count", {"variables": filter}) == 2
    assert await rooms.post("/variables/count") >= 3
    assert (await rooms.post("/variables/filter", {"limit": 201}, 422))["detail"].startswith("Invalid limit")
