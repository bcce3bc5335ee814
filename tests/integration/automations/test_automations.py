"""Automations: create, replace, switch, delete, and the resources they belong to."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

from tests.support.rooms import Rooms

JsonObject = dict[str, Any]


def body(**more: Any) -> JsonObject:
    return {
        "name": f"a-{uuid4().hex[:8]}",
        "trigger": {"type": "event", "posture": "Reactive", "expect": ["x"], "threshold": 1, "within": "PT1M"},
        "actions": [{"type": "do-nothing"}],
        **more,
    }


def starting(deployment_id: str, **more: Any) -> JsonObject:
    return {"type": "run-deployment", "source": "selected", "deployment_id": deployment_id, **more}


async def create(rooms: Rooms, **more: Any) -> JsonObject:
    made: JsonObject = await rooms.post("/automations/", body(**more), 201)
    return made


async def deployment(rooms: Rooms, template: JsonObject | None = None) -> str:
    flow = await rooms.post("/flows/", {"name": f"f-{uuid4()}"}, 201)
    pool = f"p-{uuid4().hex[:8]}"
    await rooms.post("/work_pools/", {"name": pool, "type": "process", "base_job_template": template or {}}, 201)
    made = await rooms.post("/deployments/", {"name": "d", "flow_id": flow["id"], "work_pool_name": pool}, 201)
    return str(made["id"])


async def test_create_and_read(rooms: Rooms) -> None:
    child, parent = str(uuid4()), str(uuid4())
    trigger = {
        "type": "compound", "id": parent, "require": "all", "within": 60,
        "triggers": [{"type": "event", "id": child, "posture": "Reactive", "expect": ["a"]}],
    }  # fmt: skip
    made = await create(rooms, trigger=trigger, tags=["t"])
    assert await rooms.get(f"/automations/{made['id']}") == made
    assert (made["enabled"], made["description"], made["actions_on_trigger"]) == (True, "", [])
    assert made["trigger"]["within"] == 60.0
    ids = {made["trigger"]["id"], made["trigger"]["triggers"][0]["id"]}
    assert len(ids) == 2
    assert not ids & {parent, child}
    assert "owner_resource" not in made
    (event,) = await rooms.events(f"prefect.automation.{made['id']}")
    assert event["event"] == "prefect.automation.created"
    assert event["payload"] == made


async def test_put_keeps_what_was_not_sent_and_patch_switches(rooms: Rooms) -> None:
    made = await create(rooms, description="d", tags=["t"], enabled=False)
    await rooms.put(f"/automations/{made['id']}", {**body(), "name": "new"}, 204)
    replaced = await rooms.get(f"/automations/{made['id']}")
    assert (replaced["name"], replaced["description"], replaced["tags"]) == ("new", "d", ["t"])
    assert replaced["enabled"] is False
    assert replaced["trigger"]["id"] != made["trigger"]["id"]
    await rooms.patch(f"/automations/{made['id']}", {"enabled": True})
    await rooms.patch(f"/automations/{made['id']}", {})
    switched = await rooms.get(f"/automations/{made['id']}")
    assert switched["enabled"] is True
    assert switched["trigger"] == replaced["trigger"]
    events = await rooms.events(f"prefect.automation.{made['id']}")
    assert [event["event"].rpartition(".")[2] for event in events] == ["created", *["updated"] * 3]
    missing = {"exception_message": "Automation not found"}
    for method in ("PUT", "PATCH", "DELETE", "GET"):
        sent = {"PUT": body(), "PATCH": {}}.get(method)
        assert await rooms.call(method, f"/automations/{uuid4()}", sent, status=404) == missing
    await rooms.put(f"/automations/{made['id']}", {**body(), "owner_resource": "x"}, 422)


async def test_a_loop_is_refused_also_when_it_is_switched_on(rooms: Rooms) -> None:
    trigger = {"type": "event", "posture": "Reactive", "expect": ["prefect.flow-run.Running"]}
    loop = [{"type": "run-deployment", "source": "inferred"}]
    refused = await rooms.post("/automations/", body(trigger=trigger, actions=loop), 422)
    assert "infinite loop" in refused["exception_detail"][0]["msg"]
    asleep = await create(rooms, trigger=trigger, actions=loop, enabled=False)
    refused = await rooms.patch(f"/automations/{asleep['id']}", {"enabled": True}, 422)
    assert refused["exception_detail"][0]["loc"] == []
    assert (await rooms.get(f"/automations/{asleep['id']}"))["enabled"] is False


async def test_relations_follow_owner_and_actions(rooms: Rooms) -> None:
    one, two = await deployment(rooms), await deployment(rooms)
    owner = f"prefect.deployment.{one}"
    owned = await create(rooms, owner_resource=owner, actions=[starting(one)])
    acting = await create(rooms, actions=[starting(two)], actions_on_trigger=[starting(one)])

    async def related(id: str) -> set[str]:
        return {found["id"] for found in await rooms.get(f"/automations/related-to/prefect.deployment.{id}")}

    assert await related(one) == {owned["id"], acting["id"]}
    assert await related(two) == {acting["id"]}
    await rooms.put(f"/automations/{acting['id']}", body(actions=[starting(one)]), 204)
    assert await related(two) == set()
    await rooms.put(f"/automations/{acting['id']}", body(actions=[]), 204)
    assert await related(one) == {owned["id"], acting["id"]}  # the actions that were not sent still run it
    await rooms.put(f"/automations/{owned['id']}", body(), 204)
    assert owned["id"] in await related(one)  # ownership stays
    assert await rooms.call("DELETE", f"/automations/owned-by/{owner}", status=202) is None
    assert await related(one) == {acting["id"]}
    assert await rooms.call("DELETE", f"/automations/owned-by/{owner}", status=202) is None
    events = await rooms.events(f"prefect.automation.{owned['id']}")
    assert all(event["event"] != "prefect.automation.deleted" for event in events)


async def test_job_variables_are_checked_against_the_pool(rooms: Rooms) -> None:
    template = {
        "job_configuration": {"n": "{{ n }}"},
        "variables": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
    }
    id = await deployment(rooms, template)
    for wrong in ({"n": "text"}, {"other": 1}):
        refused = await rooms.post("/automations/", body(actions=[starting(id, job_variables=wrong)]), 422)
        assert refused["detail"].startswith("Error creating automation: ")
    made = await create(rooms, actions=[starting(id, job_variables={"n": 1}), starting(id, job_variables={})])
    unknown = starting(str(uuid4()), job_variables={"n": 1})
    refused = await rooms.post("/automations/", body(actions=[unknown]), 404)
    assert refused == {"detail": "Deployment not found."}
    wrong_put = body(actions=[starting(id, job_variables={})])
    assert "n" in (await rooms.put(f"/automations/{made['id']}", wrong_put, 422))["detail"]


async def test_deletion_has_what_triggers_counted_forgotten(rooms: Rooms) -> None:
    made = await create(rooms)
    await rooms.delete(f"/automations/{made['id']}")
    forgotten = await rooms.scope.db.fetch("SELECT trigger_id::text FROM automation_forgotten_trigger")
    assert made["trigger"]["id"] in {row["trigger_id"] for row in forgotten}
    assert (await rooms.events(f"prefect.automation.{made['id']}"))[-1]["event"] == "prefect.automation.deleted"


async def test_lists(rooms: Rooms) -> None:
    mark = uuid4().hex[:8]
    made = [await create(rooms, name=f"{mark}-{n}", tags=tags) for n, tags in ((1, ["x"]), (2, ["x", "y"]), (3, []))]

    async def names(**filter: Any) -> list[str]:
        chosen = {"id": {"any_": [automation["id"] for automation in made]}, **filter}
        found = await rooms.post("/automations/filter", {"automations": chosen, "sort": None, "limit": None})
        return [automation["name"].rpartition("-")[2] for automation in found]

    assert await names() == ["1", "2", "3"]
    assert await names(tags={"all_": ["x"]}) == ["1", "2"]
    assert await names(tags={"any_": ["y"]}) == ["2"]
    assert await names(tags={"is_null_": True}) == ["3"]
    assert await names(created={"before_": made[1]["created"]}) == ["1", "2"]
    assert await rooms.post("/automations/count", {"automations": {"name": {"any_": [f"{mark}-1"]}}}) == 1
    await rooms.post("/automations/filter", {"automations": {"names": {}}}, 422)


async def test_switches_at_the_same_moment_all_count(rooms: Rooms) -> None:
    made = await create(rooms)
    path = f"/automations/{made['id']}"
    await asyncio.gather(*(rooms.patch(path, {"enabled": n % 2 == 0}) for n in range(6)))
    assert len(await rooms.events(f"prefect.automation.{made['id']}")) == 7


async def test_templates_are_checked(rooms: Rooms) -> None:
    for path in ("/templates/validate", "/automations/templates/validate"):
        assert await rooms.post(path, "{{ event.id }} {{ x | nosuchfilter }}", 204) is None
        assert await rooms.post(path, None, 204) is None
        refused = await rooms.post(path, "a\n{{ broken", 422)
        assert refused["error"]["line"] == 2
        assert refused["error"]["source"] == "a\n{{ broken"


async def test_metric_triggers_are_kept_on_any_level(rooms: Rooms) -> None:
    asked = {"name": "successes", "threshold": 0.5, "operator": "<", "range": 300.0, "firing_for": 600.0}
    metric = {"type": "metric", "posture": "Metric", "match": {"prefect.resource.id": "prefect.flow-run.*"},
              "match_related": {}, "metric": asked}  # fmt: skip
    nested = {"type": "compound", "require": "any", "within": 60, "triggers": [body()["trigger"], metric]}
    made = await create(rooms, trigger=metric)
    kept = (await rooms.get(f"/automations/{made['id']}"))["trigger"]
    assert {**kept, "id": None} == {**metric, "id": None}
    await rooms.put(f"/automations/{made['id']}", body(trigger=nested), 204)
    kept = (await rooms.get(f"/automations/{made['id']}"))["trigger"]
    assert kept["triggers"][1]["metric"] == asked
    for wrong in ({"range": 299}, {"firing_for": 299}, {"operator": "="}, {"name": "failures"}):
        await rooms.post("/automations/", body(trigger={**metric, "metric": {**asked, **wrong}}), 422)


async def test_creating_twice_with_one_id_creates_once(rooms: Rooms) -> None:
    owner, wanted = f"prefect.deployment.{uuid4()}", body(id=str(uuid4()))
    wanted["owner_resource"] = owner
    first, *others = await asyncio.gather(*(rooms.post("/automations/", wanted, 201) for _ in range(4)))
    assert first["id"] == wanted["id"]
    assert all(other == first for other in others), "the triggers keep the ids that they got first"
    assert len(await rooms.get(f"/automations/related-to/{owner}")) == 1
    assert len(await rooms.events(f"prefect.automation.{wanted['id']}")) == 1
