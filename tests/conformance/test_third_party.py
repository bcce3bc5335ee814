"""Plain HTTP as other programs send it: exporters that page through everything, providers that keep what was declared.

None of them introduces itself as the client or sends the version header. They name optional fields with null.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.runs import checked
from tests.support.servers import Target

NOBODY = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(scope="module")
def http(target: Target) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=target.api_url, timeout=30.0) as client:
        yield client


def post(http: httpx.Client, path: str, body: object = None) -> Any:
    return checked(http.post(path, json={} if body is None else body))


def test_probes(http: httpx.Client) -> None:
    assert checked(http.get("/health")) is True
    assert http.get("/ready").json() == {"message": "OK"}
    assert checked(http.get("/hello")) == "👋"
    assert checked(http.get("/admin/version")).startswith("3.")
    assert checked(http.get("/version")) == "0.8.4", "this one is the API's version"
    assert "process" in checked(http.get("/collections/views/aggregate-worker-metadata"))["prefect"]
    assert http.get("/collections/views/nothing").status_code == 404


def test_an_exporter_pages_through_everything(http: httpx.Client) -> None:
    flow = post(http, "/flows/", {"name": "exported"})
    expected = {
        post(http, "/flow_runs/", {"flow_id": flow["id"], "state": {"type": "SCHEDULED"}})["id"] for _ in range(7)
    }
    found: list[str] = []
    while page := post(http, "/flow_runs/filter", {"limit": 3, "offset": len(found), "sort": "ID_DESC"}):
        found += [run["id"] for run in page]
    assert (len(found), set(found)) == (7, expected)
    assert post(http, "/flow_runs/count", {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}) == 7
    since = {"operator": "and_", "start_time": {"after_": "2020-01-01T00:00:00Z", "is_null_": False}}
    assert post(http, "/flow_runs/filter", {"flow_runs": since}) == []
    for resource in ("deployments", "flows", "work_pools", "work_queues", "task_runs"):
        page = post(http, f"/{resource}/filter", {"limit": 200, "offset": 0})
        assert isinstance(page, list)
        assert post(http, f"/{resource}/filter", {"limit": 200, "offset": 200}) == []
    page = post(http, "/flow_runs/paginate", {"limit": 2, "page": 4})
    assert (page["count"], page["pages"], len(page["results"])) == (7, 4, 1)
    assert http.post("/flow_runs/filter", json={"limit": 201}).status_code == 422
    assert http.post("/flow_runs/filter").status_code == 200, "no body at all"


def test_a_declared_work_pool(http: httpx.Client) -> None:
    body = {"name": "declared", "type": "kubernetes", "description": None, "concurrency_limit": None}
    created = checked(http.post("/work_pools/", json={**body, "is_paused": False, "base_job_template": {}}))
    read = checked(http.get("/work_pools/declared"))
    assert read["id"] == created["id"]
    assert (read["description"], read["concurrency_limit"]) == (None, None)
    change = {"description": "d", "is_paused": True, "concurrency_limit": 3, "base_job_template": {}}
    assert http.patch("/work_pools/declared", json=change).status_code == 204
    changed = checked(http.get("/work_pools/declared"))
    assert (changed["description"], changed["is_paused"], changed["concurrency_limit"]) == ("d", True, 3)
    assert http.patch("/work_pools/declared", json={"concurrency_limit": None}).status_code == 204
    cleared = checked(http.get("/work_pools/declared"))
    assert (cleared["concurrency_limit"], cleared["description"]) == (None, "d")
    assert http.post("/work_pools/", json=body).status_code == 409
    assert http.delete("/work_pools/declared").status_code == 204
    assert http.get("/work_pools/declared").status_code == 404
    assert http.patch("/work_pools/declared", json=change).status_code == 404


def test_a_declared_block(http: httpx.Client) -> None:
    kind = checked(http.post("/block_types/", json={"name": "Declared", "slug": "declared"}))
    fields = {"title": "D", "type": "object", "properties": {"key": {"type": "string"}}, "secret_fields": ["key"]}
    body = {"block_type_id": kind["id"], "fields": fields, "capabilities": []}
    schema = checked(http.post("/block_schemas/", json=body))
    ids = {"block_type_id": kind["id"], "block_schema_id": schema["id"]}
    document = checked(http.post("/block_documents/", json={"name": "mine", "data": {"key": "k1"}, **ids}))
    path = f"/block_documents/{document['id']}"
    assert checked(http.get(path))["data"] == {"key": "********"}
    assert checked(http.get(path, params={"include_secrets": "true"}))["data"] == {"key": "k1"}
    change = {"block_schema_id": schema["id"], "data": {"key": "k2"}, "merge_existing_data": False}
    assert http.patch(path, json=change).status_code == 204
    assert checked(http.get(path, params={"include_secrets": "true"}))["data"] == {"key": "k2"}
    assert http.delete(path).status_code == 204
    assert http.get(path).status_code == 404
    assert http.delete(f"/block_types/{kind['id']}").status_code == 204
    assert http.get(f"/block_types/{kind['id']}").status_code == 404


def test_a_declared_automation(http: httpx.Client) -> None:
    trigger = {"type": "event", "posture": "Reactive", "expect": ["a"], "threshold": 1, "within": 0}
    body = {"name": "declared", "description": "", "enabled": True, "trigger": trigger}
    actions = {"actions": [{"type": "do-nothing"}], "actions_on_trigger": [], "actions_on_resolve": []}
    created = checked(http.post("/automations/", json={**body, **actions}))
    path = f"/automations/{created['id']}"
    read = checked(http.get(path))
    assert http.put(path, json=read).status_code == 422, "the server's own fields are not taken back"
    own = {key: value for key, value in read.items() if key not in ("id", "created", "updated")}
    assert http.put(path, json={**own, "name": "renamed"}).status_code == 204
    assert http.patch(path, json={"enabled": False}).status_code == 204
    changed = checked(http.get(path))
    assert (changed["name"], changed["enabled"], changed["trigger"]["expect"]) == ("renamed", False, ["a"])
    assert http.put(f"/automations/{NOBODY}", json={**body, **actions}).status_code == 404
    assert http.delete(path).status_code == 204
    assert http.get(path).status_code == 404


def test_a_declared_deployment(http: httpx.Client) -> None:
    flow = post(http, "/flows/", {"name": "declared-flow"})
    nothing = dict.fromkeys(("work_pool_name", "work_queue_name", "version", "path", "description", "entrypoint"))
    body = {"name": "dep", "flow_id": flow["id"], "tags": ["a"], "parameters": {"x": 1}, **nothing}
    created = checked(http.post("/deployments/", json=body))
    assert checked(http.get("/deployments/name/declared-flow/dep"))["id"] == created["id"]
    path = f"/deployments/{created['id']}"
    assert http.patch(path, json={"description": "d"}).status_code == 204
    changed = checked(http.get(path))
    assert (changed["description"], changed["tags"], changed["parameters"]) == ("d", ["a"], {"x": 1})
    assert http.patch(path, json={"tags": [], "paused": True}).status_code == 204
    changed = checked(http.get(path))
    assert (changed["tags"], changed["paused"], changed["description"]) == ([], True, "d")
    again = http.post("/deployments/", json={**body, "tags": ["b"]})
    assert (again.status_code, again.json()["id"]) == (200, created["id"])
    assert http.get("/deployments/name/declared-flow/other").status_code == 404
    assert http.delete(path).status_code == 204
    assert http.delete(path).status_code == 404


def test_a_declared_variable_and_limits(http: httpx.Client) -> None:
    variable = checked(http.post("/variables/", json={"name": "declared", "value": None, "tags": []}))
    assert http.patch("/variables/name/declared", json={"value": [1]}).status_code == 204
    assert http.patch(f"/variables/{variable['id']}", json={"tags": ["x"]}).status_code == 204
    read = checked(http.get("/variables/name/declared"))
    assert (read["id"], read["value"], read["tags"]) == (variable["id"], [1], ["x"])
    assert http.delete("/variables/name/declared").status_code == 204
    assert http.get(f"/variables/{variable['id']}").status_code == 404
    limit = checked(http.post("/v2/concurrency_limits/", json={"name": "declared", "limit": 2}))
    change = {"name": "declared-2", "limit": 4, "active": False, "slot_decay_per_second": 0.0}
    assert http.patch(f"/v2/concurrency_limits/{limit['id']}", json=change).status_code == 204
    renamed = checked(http.get("/v2/concurrency_limits/declared-2"))
    assert (renamed["id"], renamed["limit"], renamed["active"]) == (limit["id"], 4, False)
    assert http.delete("/v2/concurrency_limits/declared-2").status_code == 204
    assert http.get(f"/v2/concurrency_limits/{limit['id']}").status_code == 404


@pytest.mark.parametrize("path", ["/nowhere", "/flows/not-an-id", "/deployments/name/only-one"])
def test_unknown_paths(http: httpx.Client, path: str) -> None:
    assert http.get(path).status_code in (404, 422)
    assert http.get(path).json(), "errors carry a body"
