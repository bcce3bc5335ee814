"""Variables, artifacts, and what a UI asks for: every status and text."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from tests.integration.protocol.facts import INTEGRITY, NOBODY, Fact, Invalid, detail, hold
from tests.support.rooms import Rooms

TOO_MUCH = detail("Invalid limit: must be less than or equal to 200.")
NEGATIVE = detail("Invalid limit: must be greater than or equal to 0.")


async def test_variables(rooms: Rooms) -> None:
    made = await rooms.post("/variables/", {"name": "v1", "value": {"a": [1, None]}, "tags": ["x"]}, 201)
    path, missing = f"/variables/{made['id']}", detail("Variable not found.")
    too_long = Invalid("value_error", "value", "Variable value must be less than 5000 characters")

    def makes(status: int, answer: Any, **body: Any) -> Fact:
        return Fact("POST", "/variables/", {"name": "x", "value": 1, **body}, status, answer)

    def found(filter: Any, *names: str) -> list[Fact]:
        body = {"variables": filter}
        return [
            Fact("POST", "/variables/filter", body, 200, lambda b: [v["name"] for v in b] == [*names]),
            Fact("POST", "/variables/count", body, 200, len(names)),
        ]

    await hold(
        rooms,
        [
            makes(409, detail("A variable with the name 'v1' already exists."), name="v1"),
            makes(201, lambda b: b["value"] is None, name="v2", value=None),
            ("POST", "/variables/", {"name": "v3"}, 422, Invalid("missing", "value")),
            makes(422, Invalid("value_error", "name"), name="V3"),
            makes(422, Invalid("", "name"), name="x" * 256),
            makes(201, lambda b: len(b["name"]) == 255, name="x" * 255),
            makes(201, lambda b: True, name="just", value="y" * 4998),
            makes(422, too_long, value="y" * 4999),
            makes(422, Invalid("extra_forbidden"), zz=1),
            ("GET", f"/variables/{NOBODY}", None, 404, missing),
            ("GET", "/variables/name/none", None, 404, missing),
            ("PATCH", f"/variables/{NOBODY}", {}, 404, missing),
            ("PATCH", "/variables/name/none", {}, 404, missing),
            ("DELETE", f"/variables/{NOBODY}", None, 404, missing),
            ("DELETE", "/variables/name/none", None, 404, missing),
            ("PATCH", path, {"value": None}, 204),
            ("GET", path, None, 200, lambda b: (b["value"], b["tags"]) == (None, ["x"])),
            ("PATCH", path, {"name": "v2"}, 409, INTEGRITY),
            ("PATCH", "/variables/name/v1", {"name": "v2"}, 409, INTEGRITY),
            ("PATCH", path, {"name": None}, 409, INTEGRITY),
            ("PATCH", path, {"tags": None}, 409, INTEGRITY),
            ("PATCH", path, {"name": "Bad"}, 422, Invalid("value_error", "name")),
            ("PATCH", path, {"value": "y" * 5001}, 422, too_long),
            *found({"name": {"like_": "V_"}}, "v1", "v2"),
            *found({"name": {"any_": []}}),
            *found({"tags": {"all_": ["x"]}}, "v1"),
            *found({"tags": {"is_null_": False}}, "v1"),
            *found({"operator": "or_", "name": {"any_": ["v2"]}, "id": {"any_": [made["id"]]}}, "v1", "v2"),
            *found({"operator": "or_", "name": {"any_": ["v2"]}, "id": {"any_": []}}, "v2"),
            ("POST", "/variables/filter", {"sort": "NAME_DESC", "limit": 1, "offset": 1}, 200,
             lambda b: [v["name"] for v in b] == ["v2"]),
            ("POST", "/variables/filter", {"sort": "BY_NAME"}, 422, Invalid("enum", "sort")),
            ("POST", "/variables/filter", {"variables": {"value": {}}}, 422, Invalid("extra_forbidden")),
            ("POST", "/variables/filter", {"limit": 201}, 422, TOO_MUCH),
            ("POST", "/variables/filter", {"limit": -1}, 422, NEGATIVE),
            ("DELETE", "/variables/name/v2", None, 204),
            ("DELETE", path, None, 204),
        ],
    )  # fmt: skip


async def test_artifacts(rooms: Rooms) -> None:
    run = str(UUID(int=9))
    long = {"m": "y" * 600, "n": "z"}
    first = await rooms.post("/artifacts/", {"key": "k", "data": "one", "type": "markdown", "metadata_": long,
                                             "flow_run_id": run, "description": "d"}, 201)  # fmt: skip
    assert first["metadata_"] == {"m": "y" * 500 + "...", "n": "z"}
    (collection,) = await rooms.post("/artifacts/latest/filter", {})
    second = await rooms.post("/artifacts/", {"key": "k", "data": {"x": 1}}, 201)
    plain = await rooms.post("/artifacts/", {"data": [1], "type": "result"}, 201)
    await rooms.post("/artifacts/", {"key": ""}, 201)
    missing = detail("Artifact not found.")

    def latest(**expected: Any) -> Fact:
        same = {"id": collection["id"], "created": collection["created"], **expected}
        return Fact("GET", "/artifacts/k/latest", None, 200, lambda b: {k: b[k] for k in same} == same)

    def found(kind: str, filter: Any, number: int) -> list[Fact]:
        body = {"artifacts": filter}
        return [
            Fact("POST", f"/artifacts/{kind}filter", body, 200, lambda b: len(b) == number),
            Fact("POST", f"/artifacts/{kind}count", body, 200, number),
        ]

    await hold(
        rooms,
        [
            latest(data={"x": 1}, type=None, description=None, flow_run_id=None, metadata_=None),
            ("GET", f"/artifacts/{NOBODY}", None, 404, missing),
            ("GET", "/artifacts/none/latest", None, 404, missing),
            ("PATCH", f"/artifacts/{NOBODY}", {}, 404, missing),
            ("DELETE", f"/artifacts/{NOBODY}", None, 404, missing),
            ("POST", "/artifacts/", {"key": "No Key"}, 422, Invalid("value_error", "key")),
            ("POST", "/artifacts/", {"zz": 1}, 422, Invalid("extra_forbidden")),
            ("PATCH", f"/artifacts/{second['id']}", {"key": "q"}, 422, Invalid("extra_forbidden", "key")),
            ("PATCH", f"/artifacts/{first['id']}", {"data": "old"}, 204), latest(data={"x": 1}),
            ("PATCH", f"/artifacts/{second['id']}", {"data": "new", "description": "e"}, 204),
            latest(data="new", description="e"),
            ("PATCH", f"/artifacts/{second['id']}", {"data": None}, 204), latest(data=None, description="e"),
            *found("", {"key": {"exists_": True}}, 3), *found("", {"key": {"exists_": False}}, 1),
            *found("", {"type": {"not_any_": ["result"]}}, 1),  # no type is no other type either
            *found("", {"flow_run_id": {"any_": [run]}}, 1), *found("", {"id": {"any_": []}}, 0),
            *found("latest/", {"latest_id": {"any_": [second["id"]]}}, 1), *found("latest/", {}, 2),
            ("POST", "/artifacts/filter", {"flow_runs": {}}, 200, []),
            ("POST", "/artifacts/latest/filter", {"artifacts": {"id": {"any_": []}}}, 422, Invalid("extra_forbidden")),
            ("POST", "/artifacts/filter", {"limit": 201}, 422, TOO_MUCH),
            ("POST", "/artifacts/latest/filter", {"limit": -1}, 422, NEGATIVE),
            ("DELETE", f"/artifacts/{second['id']}", None, 204),
            latest(data="old", type="markdown", description="d", flow_run_id=run),
            ("DELETE", f"/artifacts/{first['id']}", None, 204),
            ("GET", "/artifacts/k/latest", None, 404, missing),
            ("DELETE", f"/artifacts/{plain['id']}", None, 204),
        ],
    )  # fmt: skip


def jinja(template: str) -> dict[str, Any]:
    return {"__prefect_kind": "jinja", "template": template}


def json_value(text: str) -> dict[str, Any]:
    return {"__prefect_kind": "json", "value": text}


def variable(name: str) -> dict[str, Any]:
    return {"__prefect_kind": "workspace_variable", "variable_name": name}


INTEGER: dict[str, Any] = {"type": "integer"}


@pytest.mark.parametrize(
    ("schema", "value", "errors"),
    [
        (INTEGER, 1, []),
        (INTEGER, None, []),  # not required: null as well
        (INTEGER, json_value("5"), []),
        (INTEGER, {"__prefect_kind": "none", "value": 3}, []),
        (INTEGER, {"__prefect_kind": "other", "value": 3}, []),
        (INTEGER, {"__prefect_kind": "json"}, []),  # takes itself away
        (INTEGER, variable("number"), []),
        (INTEGER, variable("none"), ["Variable 'none' not found in workspace."]),
        (INTEGER, {"__prefect_kind": "none"}, ["Missing 'value' key in __prefect object"]),
        (INTEGER, {"__prefect_kind": "jinja"}, ["Missing 'template' key in __prefect object"]),
        # A good template may become anything.
        (INTEGER, jinja("{{ 1 }}"), []),
        ({"enum": ["x"]}, jinja("{{ 1 }}"), []),
        ({"type": "string", "maxLength": 3}, jinja("{{ 1 }}"), []),
        ({"type": "object", "required": ["q"]}, jinja("{{ 1 }}"), []),
        ({"anyOf": [INTEGER, {"type": "boolean"}]}, jinja("{{ 1 }}"), []),
        (INTEGER, {"__prefect_kind": "none", "value": jinja("{{ 1 }}")}, []),
        (INTEGER, variable(jinja("{{ 1 }}")), []),  # type: ignore[arg-type]
        ({"type": "array", "items": INTEGER}, [jinja("{{ 1 }}"), "x"],
         [{"index": 1, "errors": ["'x' is not of type 'integer'"]}]),
        ({"type": "array", "items": INTEGER}, [1, "x", None],
         [{"index": 1, "errors": ["'x' is not of type 'integer'"]},
          {"index": 2, "errors": ["None is not of type 'integer'"]}]),
        ({"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}, {},
         [{"property": "q", "errors": ["'q' is a required property"]}]),
    ],
)  # fmt: skip
async def test_forms(rooms: Rooms, schema: Any, value: Any, errors: list[Any]) -> None:
    await rooms.http.post("/api/variables/", json={"name": "number", "value": 7})
    body = {"schema": {"type": "object", "properties": {"a": schema}}, "values": {"a": value}}
    expected = [{"property": "a", "errors": errors}] if errors else []
    assert await rooms.post("/ui/schemas/validate", body) == {"errors": expected, "valid": not errors}


async def test_forms_as_a_whole(rooms: Rooms) -> None:
    circle = {"type": "object", "properties": {"x": {"$ref": "#/definitions/X"}}}
    deep: dict[str, Any] = {}
    for _ in range(3):
        deep = {"x": deep}

    def checks(status: int, answer: Any, schema: Any, values: Any) -> Fact:
        return Fact("POST", "/ui/schemas/validate", {"schema": schema, "values": values}, status, answer)

    broken = {"properties": {"o": {"type": "object", "properties": {"q": INTEGER}, "required": ["q", "r"]}}}
    await hold(
        rooms,
        [
            checks(200, {"errors": [], "valid": True}, {}, {}),
            checks(200, {"errors": [], "valid": True}, {"type": "object"}, jinja("{{ 1 }}")),
            checks(200, {"errors": ["{} does not have enough properties"], "valid": False}, {"minProperties": 2}, {}),
            checks(200, lambda b: b["errors"][0].startswith("Invalid JSON: "), {"type": "object"}, json_value("{")),
            checks(200, lambda b: [e["property"] for e in b["errors"][0]["errors"]] == ["q", "r"], broken,
                   {"o": {"q": json_value("{")}}),
            checks(200, {"errors": [], "valid": True}, {"properties": {"x": circle}, "definitions": {"X": circle}},
             deep),
            checks(422, lambda b: b["detail"].startswith("Invalid schema: "), {"type": "bogus"}, {}),
            checks(422, lambda b: b["detail"].startswith("Invalid schema: "),
                   {"properties": {"a": {"$ref": "http://nowhere.example/x"}}}, {"a": 1}),
            checks(422, Invalid("dict_type", "values"), {}, []),
            ("POST", "/ui/schemas/validate", {}, 422, Invalid("missing", "schema")),
        ],
    )  # fmt: skip


async def test_pages_of_a_ui(rooms: Rooms) -> None:
    flow = (await rooms.post("/flows/", {"name": "shown"}, 201))["id"]
    required = detail("task_runs.start_time.after_ is required")
    window = {"after_": "2026-01-01T00:00:30Z", "before_": "2026-01-01T01:00:00Z"}
    many = [str(UUID(int=n)) for n in range(250)]
    unbounded: list[dict[str, Any]] = [{}, {"start_time": {}}, {"start_time": {"before_": "2030-01-01"}}]
    everybody: list[Any] = [None, {}, {"task_worker_filter": None}, {"task_worker_filter": {"task_keys": []}}]
    await hold(
        rooms,
        [
            ("POST", "/ui/flows/count-deployments", {"flow_ids": [flow, flow, NOBODY]}, 200, {flow: 0, NOBODY: 0}),
            ("POST", "/ui/flows/count-deployments", {"flow_ids": many}, 200, lambda b: len(b) == 250),
            ("POST", "/ui/flows/count-deployments", {}, 422, Invalid("missing", "flow_ids")),
            ("POST", "/ui/flows/next-runs", {"flow_ids": [flow]}, 200, {flow: None}),
            ("POST", "/ui/flow_runs/count-task-runs", {"flow_run_ids": [NOBODY]}, 200, {NOBODY: 0}),
            ("POST", "/ui/flow_runs/history", {"limit": 1001}, 422, Invalid("less_than_equal", "limit")),
            ("POST", "/ui/flow_runs/history", {"limit": -1}, 422, Invalid("greater_than_equal", "limit")),
            ("POST", "/ui/flow_runs/history", {"work_pool_queues": {}}, 200, []),
            *(("POST", "/ui/task_runs/dashboard/counts", {"task_runs": filter}, 422, required)
              for filter in unbounded),
            ("POST", "/ui/task_runs/dashboard/counts", {}, 422, Invalid("missing", "task_runs")),
            ("POST", "/ui/task_runs/dashboard/counts", {"task_runs": {"start_time": window}}, 200,
             [{"completed": 0, "failed": 0}] * 20),
            ("POST", "/ui/task_runs/count", {}, 200, lambda b: len(b) == 9 and set(b.values()) == {0}),
            ("GET", f"/ui/task_runs/{NOBODY}", None, 404, detail("Task not found")),
            *(("POST", "/task_workers/filter", body, 200, [])
              for body in everybody),
            ("POST", "/task_workers/filter", {"task_worker_filter": {}}, 422, Invalid("missing", "task_keys")),
        ],
    )  # fmt: skip
