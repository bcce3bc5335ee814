"""Flows, saved searches, templates: every status, text and special case of their operations."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from tests.integration.protocol.facts import NOBODY, Fact, Invalid, detail, hold
from tests.support.rooms import Rooms

MISSING = detail("Flow not found")


async def test_names_tags_and_labels(rooms: Rooms) -> None:
    bad = Invalid("string_pattern_mismatch", "body.name")
    labels = {"a": 1, "b": 1.5, "c": True, "d": "x"}
    await hold(
        rooms,
        [Fact("POST", "/flows/", {"name": name}, 422, bad) for name in ("", "a/b", "a%b", "a&b", "a<b", "a>b")]
        + [
            Fact("POST", "/flows/", {"name": None}, 422, Invalid("string_type", "body.name")),
            Fact("POST", "/flows/", {}, 422, Invalid("missing", "body.name")),
            Fact("POST", "/flows/", {"name": "x", "id": NOBODY}, 422, Invalid("extra_forbidden", "body.id")),
            Fact("POST", "/flows/", {"name": "x", "tags": None}, 422, Invalid("list_type", "body.tags")),
            Fact("POST", "/flows/", {"name": " "}, 201, lambda b: b["name"] == " "),
            Fact("POST", "/flows/", {"name": "nothing", "labels": None}, 201),
            Fact("POST", "/flows/", {"name": "all", "labels": labels}, 201, lambda b: b["labels"] == labels),
            Fact("POST", "/flows/", {"name": "x", "labels": {"a": [1]}}, 422, Invalid(place="body.labels.a")),
            Fact("POST", "/flows/", {"name": "x", "labels": {"a": None}}, 422, Invalid(place="body.labels.a")),
        ],
    )


async def test_get_or_create(rooms: Rooms) -> None:
    name = f"f-{uuid4()}"
    made = await rooms.post("/flows/", {"name": name, "tags": ["a"], "labels": {"x": 1}}, 201)
    again = await rooms.post("/flows/", {"name": name, "tags": ["other"], "labels": {"x": 2}}, 200)
    assert again == made
    assert await rooms.get(f"/flows/name/{name}") == made
    await rooms.get(f"/flows/name/{name.upper()}", 404)


async def test_changing(rooms: Rooms) -> None:
    made = await rooms.post("/flows/", {"name": f"f-{uuid4()}", "tags": ["a"]}, 201)
    path = f"/flows/{made['id']}"
    await hold(
        rooms,
        [
            ("PATCH", path, {}, 204, None),
            ("GET", path, None, 200, lambda b: b == made),
            ("PATCH", path, {"tags": ["b", "b"]}, 204, None),
            ("GET", path, None, 200, lambda b: b["tags"] == ["b", "b"] and b["updated"] > made["updated"]),
            ("PATCH", path, {"tags": None}, 422, Invalid("list_type", "body.tags")),
            ("PATCH", path, {"name": "x"}, 422, Invalid("extra_forbidden", "body.name")),
            ("PATCH", path, {"tags": []}, 204, None),
            ("GET", path, None, 200, lambda b: b["tags"] == []),
            ("PATCH", f"/flows/{NOBODY}", {}, 404, MISSING),
            ("PATCH", f"/flows/{NOBODY}", {"tags": []}, 404, MISSING),
            ("GET", f"/flows/{NOBODY}", None, 404, MISSING),
            ("DELETE", f"/flows/{NOBODY}", None, 404, MISSING),
            ("GET", "/flows/name/nobody", None, 404, MISSING),
        ],
    )


async def test_deleting_takes_deployments_and_runs_along(rooms: Rooms) -> None:
    ids: list[dict[str, str]] = []
    for _ in range(2):
        flow = (await rooms.post("/flows/", {"name": f"gone-{uuid4()}"}, 201))["id"]
        deployment = (await rooms.post("/deployments/", {"name": "d", "flow_id": flow}, 201))["id"]
        run = (await rooms.post("/flow_runs/", {"flow_id": flow}, 201))["id"]
        await rooms.post(f"/flow_runs/{run}/input", {"key": "k", "value": "v"}, 201)
        task = await rooms.post("/task_runs/", {"flow_run_id": run, "task_key": "t", "dynamic_key": "0"}, 201)
        ids.append({"flow": flow, "deployment": deployment, "run": run, "task": task["id"]})
    await rooms.delete(f"/flows/{ids[0]['flow']}")
    wanted = {"flows": {"name": {"like_": "gone-"}}}
    assert await rooms.post("/flows/bulk_delete", wanted) == {"deleted": [ids[1]["flow"]]}
    assert await rooms.post("/flows/bulk_delete", wanted) == {"deleted": []}
    for gone in ids:
        await hold(
            rooms,
            [
                ("GET", f"/flows/{gone['flow']}", None, 404, MISSING),
                ("GET", f"/deployments/{gone['deployment']}", None, 404, detail("Deployment not found")),
                ("GET", f"/flow_runs/{gone['run']}", None, 404, detail("Flow run not found")),
                ("GET", f"/task_runs/{gone['task']}", None, 404, detail("Task not found")),
                ("GET", f"/flow_run_states/?flow_run_id={gone['run']}", None, 200, []),
                ("GET", f"/task_run_states/?task_run_id={gone['task']}", None, 200, []),
                ("POST", f"/flow_runs/{gone['run']}/input/filter", {"prefix": ""}, 200, []),
            ],
        )


async def test_bounds_of_bulk_calls(rooms: Rooms) -> None:
    nothing: dict[str, Any] = {"id": {"any_": []}}
    rows = []
    for room in ("flows", "flow_runs", "deployments"):
        path = f"/{room}/bulk_delete"
        rows += [
            Fact("POST", path, {"limit": 0}, 422, Invalid("greater_than_equal", "body.limit")),
            Fact("POST", path, {"limit": 51}, 422, Invalid("less_than_equal", "body.limit")),
            Fact("POST", path, {"limit": "x"}, 422, Invalid("int_parsing", "body.limit")),
            Fact("POST", path, {"limit": None, room: nothing}, 200, {"deleted": []}),
            Fact("POST", path, {"limit": "50", room: nothing}, 200, {"deleted": []}),
            Fact("POST", path, {room: {"nope": 1}}, 422, Invalid("extra_forbidden", f"body.{room}.nope")),
        ]
    await hold(rooms, rows)


async def test_saved_searches(rooms: Rooms) -> None:
    line = {"object": "o", "property": "p", "type": "t", "operation": "op", "value": [1, {"x": None}]}
    made = await rooms.put("/saved_searches/", {"name": "s", "filters": [line]}, 201)
    path = f"/saved_searches/{made['id']}"
    kept = ("id", "created", "name")
    await hold(
        rooms,
        [
            ("PUT", "/saved_searches/", {"name": "s", "filters": [line, line]}, 200,
             lambda b: [b[key] for key in kept] == [made[key] for key in kept] and b["filters"] == [line, line]),
            ("PUT", "/saved_searches/", {"name": "s"}, 200, lambda b: b["filters"] == []),
            ("GET", path, None, 200, lambda b: b["filters"] == []),
            ("PUT", "/saved_searches/", {"filters": []}, 422, Invalid("missing", "body.name")),
            ("PUT", "/saved_searches/", {"name": "s", "x": 1}, 422, Invalid("extra_forbidden", "body.x")),
            ("PUT", "/saved_searches/", {"name": "s", "filters": None}, 422, Invalid("list_type", "body.filters")),
            ("PUT", "/saved_searches/", {"name": "r"}, 201),
            ("POST", "/saved_searches/filter", None, 200, lambda b: [s["name"] for s in b] == ["r", "s"]),
            ("POST", "/saved_searches/filter", {"limit": 1, "offset": 1}, 200,
             lambda b: [s["name"] for s in b] == ["s"]),
            ("DELETE", path, None, 204, None),
            ("DELETE", path, None, 404, detail("Saved search not found")),
            ("GET", path, None, 404, detail("Saved search not found")),
        ],
    )  # fmt: skip


LOOP, END = "{% for a in b %}", "{% endfor %}"


async def test_templates(rooms: Rooms) -> None:
    def told(body: Any) -> bool:
        return set(body) == {"error"} and set(body["error"]) == {"line", "message", "source"}

    rows = []
    for path in ("/templates/validate", "/automations/templates/validate"):
        rows += [Fact("POST", path, text, 204) for text in ("", "{{ x }}", (LOOP + END) * 10, LOOP * 2 + END * 2)]
        rows += [
            Fact("POST", path, text, 422, told)
            for text in ("{{ x", (LOOP + END) * 11, LOOP * 3 + END * 3, "{% zz %}", "{% if x %}")
        ]
        rows += [
            Fact("POST", path, "one\n{{ }}", 422, lambda b: b["error"]["line"] == 2),
            Fact("POST", path, 5, 422, Invalid("string_type", "body")),
            Fact("POST", path, {}, 422, Invalid("string_type", "body")),
            Fact("POST", path, None, 204),
        ]
    await hold(rooms, rows)
    for path in ("/templates/validate", "/automations/templates/validate"):
        answer = await rooms.http.post(f"/api{path}", content=b"null")
        assert answer.status_code == 204
