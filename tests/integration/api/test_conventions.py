"""The conventions every operation shares: paths, headers, versions, payloads, lists."""

from __future__ import annotations

import gzip
import json
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from sempre.schemas import lists as list_calls
from tests.integration.api.operations import JsonObject
from tests.integration.api.world import World
from tests.support.database import Database
from tests.support.rooms import Rooms, open_rooms

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = {"content-type": "application/json"}
NOT_FOUND = {"detail": "Not Found"}


@pytest.fixture
def http(world: World) -> httpx.AsyncClient:
    return world.rooms.http


def v_of(answer: httpx.Response) -> JsonObject:
    """The one item of a validation error."""
    assert answer.status_code == 422, answer.text
    body = answer.json()
    assert body["exception_message"] == "Invalid request received."
    (item,) = body["exception_detail"]
    assert isinstance(item, dict)
    return item


# --- paths ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "sent", "canonical"),
    [
        ("POST", "/flows?a=1&b=2", "/flows/?a=1&b=2"),
        ("POST", "/flows/filter/", "/flows/filter"),
        ("GET", "/health/", "/health"),
        ("POST", "/events/", "/events"),
        ("GET", "/csrf-token/?client=x", "/csrf-token?client=x"),
    ],
)
async def test_the_other_slash_redirects(http: httpx.AsyncClient, method: str, sent: str, canonical: str) -> None:
    answer = await http.request(method, f"/api{sent}")
    assert (answer.status_code, answer.content) == (307, b"")
    assert answer.headers["location"] == f"http://sempre.test/api{canonical}"


async def test_unknown_paths_and_methods(http: httpx.AsyncClient) -> None:
    for path in ("/api/nope", "/api//flows/", "/api/flows//filter", "/nope", "/api"):
        answer = await http.get(path)
        assert (answer.status_code, answer.json()) == (404, NOT_FOUND), path
    for method, path, allowed in (
        ("PUT", "/flows/", "POST"),
        ("HEAD", "/health", "GET"),
        ("OPTIONS", "/flows/filter", "POST"),
        ("POST", "/health", "GET"),
        ("POST", f"/flows/{uuid4()}", "DELETE, GET, PATCH"),
    ):
        answer = await http.request(method, f"/api{path}")
        assert answer.status_code == 405, (method, path)
        assert sorted(answer.headers["allow"].split(", ")) == allowed.split(", "), (method, path)
        if method != "HEAD":
            assert answer.json() == {"detail": "Method Not Allowed"}


async def test_forms_of_ids(http: httpx.AsyncClient, world: World) -> None:
    id = world.seeds["flow"]
    for form in (id.upper(), UUID(id).hex, UUID(id).hex.upper()):
        answer = await http.get(f"/api/flows/{form}")
        assert (answer.status_code, answer.json()["id"]) == (200, id)
        (found,) = (await http.post("/api/flows/filter", json={"flows": {"id": {"any_": [form]}}})).json()
        assert found["id"] == id
    for wrong in ("x", id[:-1], id + "0", "{" + id + "}", f"urn:uuid:{id}"):
        assert (await http.get(f"/api/flows/{wrong}")).json() == NOT_FOUND, wrong
    item = v_of(await http.post("/api/v2/concurrency_limits/leases/x/renew"))
    assert (item["type"], item["loc"]) == ("uuid_parsing", ["path", "lease_id"])
    name = world.seeds["limit_name"]
    by_name = (await http.get(f"/api/v2/concurrency_limits/{name}")).json()
    assert (await http.get(f"/api/v2/concurrency_limits/{UUID(by_name['id']).hex}")).json() == by_name


async def test_an_encoded_slash_is_a_slash(http: httpx.AsyncClient, world: World) -> None:
    assert (await http.get("/api/flows/name/a%2Fb")).json() == NOT_FOUND
    spaced = f"a b {uuid4()}"
    assert (await http.post("/api/flows/", json={"name": spaced})).status_code == 201
    assert (await http.get(f"/api/flows/name/{spaced.replace(' ', '%20')}")).json()["name"] == spaced


async def test_documents_of_the_api(http: httpx.AsyncClient) -> None:
    document = (await http.get("/openapi.json")).json()
    assert "/api/flows/filter" in document["paths"]  # whether it is the right one: tests/conformance/openapi
    page = await http.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "/openapi.json" in page.text
    for path in ("/api/docs", "/api/openapi.json"):
        answer = await http.get(path, follow_redirects=True)
        assert answer.status_code == 200, path
    assert (await http.get("/ui-settings")).json()["api_url"]


# --- version -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["", "0.8.0", "0.8.4", "0.8.99", "0.9.0", "1.0.0", "99.0.0"])
async def test_versions_that_pass(http: httpx.AsyncClient, version: str) -> None:
    assert (await http.get("/api/hello", headers={"X-PREFECT-API-VERSION": version})).status_code == 200


@pytest.mark.parametrize("version", ["abc", "0.8", "0.8.4.1", "v0.8.4", "0.8.x", "-1.0.0", " 0", "٠.٨.٤"])
async def test_versions_without_a_shape(http: httpx.AsyncClient, version: str) -> None:
    raw = [(b"x-prefect-api-version", version.encode())]
    answer = await http.get("/api/hello", headers=raw)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(
        "Invalid X-PREFECT-API-VERSION header format.Expected header in format 'x.y.z' but received "
    )
    if version == "abc":
        assert answer.json()["detail"].endswith("received abc")


async def test_versions_that_are_too_old_and_who_asks_not(http: httpx.AsyncClient) -> None:
    old = {"X-PREFECT-API-VERSION": "0.7.9"}
    answer = await http.get("/api/hello", headers=old)
    assert answer.status_code == 400
    assert answer.json() == {
        "detail": "The request specified API version 0.7.9 but this server requires version 0.8.0 or higher."
    }
    assert (await http.get("/api/health", headers=old)).json() is True
    assert (await http.get("/api/version", headers=old)).json() == "0.8.4"
    assert (await http.get("/api/admin/version", headers=old)).status_code == 400
    assert (await http.get("/api/admin/version")).json().startswith("3.")


# --- payloads ------------------------------------------------------------------------------------------


async def test_what_counts_as_json(http: httpx.AsyncClient) -> None:
    content = b'{"limit": 0}'
    for headers in ({}, JSON, {"content-type": "application/vnd.x+json"}, {"content-type": "Application/JSON ; x=y"}):
        answer = await http.post("/api/flows/filter", content=content, headers=headers)
        assert (answer.status_code, answer.json()) == (200, [])
        answer = await http.post("/api/flows/", content=b'{"name": "json"}', headers=headers)
        assert answer.status_code in (200, 201)
    for kind in ("text/plain", "application/octet-stream", "application/jsonp"):
        for path, body in (("/flows/", b'{"name": "x"}'), ("/flows/filter", content), ("/flows/bulk_delete", b"{}")):
            answer = await http.post(f"/api{path}", content=body, headers={"content-type": kind})
            assert v_of(answer)["type"] == "model_attributes_type", (kind, path)
            assert answer.json()["request_body"] == body.decode()


ALL_OPTIONAL = ["/flows/filter", "/flow_runs/count", "/events/filter", "/variables/count", "/work_pools/filter",
                "/logs/filter", "/automations/filter", "/block_documents/filter", "/ui/task_runs/count"]  # fmt: skip


@pytest.mark.parametrize("path", ALL_OPTIONAL)
@pytest.mark.parametrize("body", [b"", b"null", b" null ", b"{}", b'{"no_such_key": 1}'])
async def test_a_body_may_be_absent_where_nothing_is_required(http: httpx.AsyncClient, path: str, body: bytes) -> None:
    assert (await http.post(f"/api{path}", content=body, headers=JSON)).status_code == 200
    assert (await http.post(f"/api{path}", content=body)).status_code == 200


async def test_null_for_an_optional_parameter_is_its_absence(http: httpx.AsyncClient, world: World) -> None:
    """For every parameter of every operation that takes several."""
    checked = 0
    for operation in world.document.operations:
        schema = operation.schema or {}
        title = str(schema.get("title"))
        if title not in list_calls.__all__ and not title.startswith("Body_"):
            continue
        for key in set(schema.get("properties", ())) - set(schema.get("required", ())):
            if "bulk_" in operation.path and key in ("flows", "flow_runs", "deployments"):
                continue  # would delete what there is
            path = "/api" + world.path(operation)
            answer = await http.request(operation.method, path, json={**world.body(operation), key: None})
            assert answer.status_code < 300, (operation.key, key, answer.text)
            checked += 1
    assert checked > 150


async def test_missing_required_keys_are_named_one_by_one(http: httpx.AsyncClient) -> None:
    for body in (b"", b"null", b"{}", b'{"flow_runs": {}}'):
        answer = await http.post("/api/flow_runs/history", content=body, headers=JSON)
        items = [(item["type"], item["loc"]) for item in answer.json()["exception_detail"]]
        names = ("history_start", "history_end", "history_interval_seconds")
        assert items == [("missing", ["body", name]) for name in names]
    item = v_of(await http.post("/api/flows/"))
    assert (item["type"], item["loc"]) == ("missing", ["body"])


async def test_models_forbid_what_they_do_not_know(http: httpx.AsyncClient, world: World) -> None:
    for path, body, loc in (
        ("/flows/", {"name": "x", "nope": 1}, ["body", "nope"]),
        ("/flows/filter", {"flows": {"nope": 1}}, ["body", "flows", "nope"]),
        ("/flows/filter", {"flows": {"id": {"nope": 1}}}, ["body", "flows", "id", "nope"]),
    ):
        item = v_of(await http.post(f"/api{path}", json=body))
        assert (item["type"], item["loc"]) == ("extra_forbidden", loc)
    state = {"type": "PENDING", "state_details": {"nope": 1}}
    run = {"flow_id": world.seeds["flow"], "state": state, "empirical_policy": {"nope": 1}}
    assert (await http.post("/api/flow_runs/", json=run)).status_code == 201
    beat = {"name": "w", "metadata": {"x": 1}, "return_id": True}
    path = f"/api/work_pools/{world.seeds['pool']}/workers/heartbeat"
    assert (await http.post(path, json=beat)).status_code == 204


async def test_numbers(http: httpx.AsyncClient) -> None:
    for limit in ("5", "5.0", 5, 5.0, True):
        assert (await http.post("/api/flows/filter", json={"limit": limit})).status_code == 200, limit
    wrong: Any
    for wrong in (5.5, "5.5", "x", [], ""):
        assert v_of(await http.post("/api/flows/filter", json={"limit": wrong}))["loc"] == ["body", "limit"]
    assert v_of(await http.post("/api/flows/filter", json={"sort": "name_asc"}))["type"] == "enum"


async def test_repeated_keys_and_numbers_that_are_none(http: httpx.AsyncClient, world: World) -> None:
    content = (
        b'{"flow_id": "%b", "name": "a", "parameters": {"n": NaN, "i": [Infinity, -Infinity], "x": 1}, "name": "b"}'
    )
    answer = await http.post("/api/flow_runs/", content=content % world.seeds["flow"].encode(), headers=JSON)
    assert answer.status_code == 201
    assert (answer.json()["name"], answer.json()["parameters"]) == ("b", {"n": None, "i": [None, None], "x": 1})
    read = (await http.get(f"/api/flow_runs/{answer.json()['id']}")).json()
    assert read["parameters"] == {"n": None, "i": [None, None], "x": 1}
    marked = b"\xef\xbb\xbf" + b'{"limit": 0}'
    assert (await http.post("/api/flows/filter", content=marked, headers=JSON)).json() == []


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("2026-03-01T10:20:30Z", "2026-03-01T10:20:30Z"),
        ("2026-03-01T10:20:30", "2026-03-01T10:20:30Z"),
        ("2026-03-01 10:20:30+02:00", "2026-03-01T08:20:30Z"),
        ("2026-03-01T10:20:30.5Z", "2026-03-01T10:20:30.500000Z"),
        ("2026-03-01T10:20:30.123456789Z", "2026-03-01T10:20:30.123456Z"),
        ("2026-03-01", "2026-03-01T00:00:00Z"),
        (1772360430, "2026-03-01T10:20:30Z"),
        ("1772360430", "2026-03-01T10:20:30Z"),
        (1772360430.25, "2026-03-01T10:20:30.250000Z"),
        (1772360430000, "2026-03-01T10:20:30Z"),
        ("", None), ("PT1H", None), ("tomorrow", None), ([], None), (True, None), ("2026-13-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+14:00", None), (1e300, None),
    ],
)  # fmt: skip
async def test_times(http: httpx.AsyncClient, world: World, sent: Any, kept: str | None) -> None:
    body = {"flow_run_id": None, "task_key": "t", "dynamic_key": str(uuid4()), "cache_expiration": sent}
    answer = await http.post("/api/task_runs/", json=body)
    listed = await http.post("/api/flow_runs/count", json={"flow_runs": {"start_time": {"before_": sent}}})
    if kept is None:
        assert v_of(answer)["loc"] == ["body", "cache_expiration"]
        assert listed.status_code == 422
        return
    assert (answer.status_code, answer.json()["cache_expiration"]) == (201, kept)
    assert (await http.get(f"/api/task_runs/{answer.json()['id']}")).json()["cache_expiration"] == kept
    assert listed.status_code == 200


async def test_durations_are_float_seconds(http: httpx.AsyncClient, world: World) -> None:
    schedules = (await http.get(f"/api/deployments/{world.seeds['deployment']}/schedules")).json()
    assert 3600.0 in [s["schedule"].get("interval") for s in schedules]
    run = (await http.get(f"/api/flow_runs/{world.seeds['flow_run']}")).json()
    assert isinstance(run["total_run_time"], float)
    assert (await http.get("/api/admin/settings")).json()["api"] is not None


async def test_answers_are_compact_and_not_escaped(http: httpx.AsyncClient) -> None:
    name = f"żółw {uuid4()}"
    answer = await http.post("/api/flows/", json={"name": name, "tags": ["a", "b"]})
    assert answer.headers["content-type"] == "application/json"
    assert f'"name":"{name}"'.encode() in answer.content
    assert b'["a","b"]' in answer.content


async def test_compression(http: httpx.AsyncClient) -> None:
    await http.post("/api/flows/", json={"name": f"long-{uuid4()}", "tags": ["x" * 600]})
    for encoding, body, compressed in (("gzip", {}, True), ("identity", {}, False), ("gzip", {"limit": 0}, False)):
        request = http.build_request("POST", "/api/flows/filter", json=body, headers={"accept-encoding": encoding})
        answer = await http.send(request, stream=True)
        raw = b"".join([chunk async for chunk in answer.aiter_raw()])
        assert (answer.headers.get("content-encoding") == "gzip") is compressed
        assert json.loads(gzip.decompress(raw) if compressed else raw) is not None
        if compressed:
            assert {"Accept-Encoding", "Origin"} <= set(answer.headers["vary"].split(", "))


async def test_empty_answers(http: httpx.AsyncClient, world: World) -> None:
    answer = await http.patch(f"/api/flows/{world.seeds['flow']}", json={"tags": []})
    assert (answer.status_code, answer.content) == (204, b"")
    answer = await http.post(f"/api/deployments/{world.seeds['deployment']}/resume_deployment")
    assert (answer.status_code, answer.content) == (200, b"null")
    answer = await http.post("/api/logs/", json=[])
    assert (answer.status_code, answer.content) == (201, b"null")


# --- lists ---------------------------------------------------------------------------------------------

LISTS = ["/flows/filter", "/flow_runs/filter", "/task_runs/filter", "/deployments/filter", "/work_pools/filter",
         "/work_queues/filter", "/logs/filter", "/artifacts/filter", "/artifacts/latest/filter", "/variables/filter",
         "/block_types/filter", "/block_schemas/filter", "/block_documents/filter", "/automations/filter",
         "/saved_searches/filter", "/v2/concurrency_limits/filter", "/concurrency_limits/filter"]  # fmt: skip


@pytest.mark.parametrize("path", LISTS)
async def test_limits_and_offsets(http: httpx.AsyncClient, path: str) -> None:
    async def ask(body: JsonObject) -> httpx.Response:
        return await http.post(f"/api{path}", json=body)

    for limit, bound in ((201, "less than or equal to 200"), (-1, "greater than or equal to 0")):
        answer = await ask({"limit": limit})
        assert (answer.status_code, answer.json()) == (422, {"detail": f"Invalid limit: must be {bound}."})
    assert (await ask({"limit": 200})).status_code == 200
    assert (await ask({"limit": 0})).json() == []
    assert v_of(await ask({"limit": "x"}))["type"] == "int_parsing"
    assert v_of(await ask({"offset": -1}))["type"] == "greater_than_equal"
    assert (await ask({"offset": 100_000})).json() == []


async def test_the_limit_is_a_setting(database: Database) -> None:
    async with open_rooms(database, {"PREFECT_API_DEFAULT_LIMIT": "3"}) as rooms:
        for n in range(4):
            await rooms.http.post("/api/variables/", json={"name": f"limit_{n}", "value": n})
        assert len(await rooms.post("/variables/filter")) == 3
        refused = await rooms.post("/variables/filter", {"limit": 4}, 422)
        assert refused == {"detail": "Invalid limit: must be less than or equal to 3."}


@pytest.mark.parametrize("room", ["flows", "flow_runs", "task_runs", "deployments"])
async def test_pages(http: httpx.AsyncClient, room: str) -> None:
    async def ask(body: JsonObject) -> JsonObject:
        answer = await http.post(f"/api/{room}/paginate", json=body)
        assert answer.status_code == 200, answer.text
        page: JsonObject = answer.json()
        return page

    count = (await http.post(f"/api/{room}/count")).json()
    assert isinstance(count, int)
    first = await ask({"limit": 1})
    assert (first["count"], first["limit"], first["pages"], first["page"]) == (count, 1, count, 1)
    assert len(first["results"]) == 1
    past = await ask({"page": 1000, "limit": 2})
    assert (past["results"], past["count"], past["page"], past["pages"]) == ([], count, 1000, -(-count // 2))
    assert (await ask({"limit": 0}))["pages"] == 0
    for page in (0, -1):
        item = v_of(await http.post(f"/api/{room}/paginate", json={"page": page}))
        assert (item["type"], item["loc"]) == ("greater_than_equal", ["body", "page"])


@pytest.mark.parametrize(
    ("room", "sorts"),
    [
        ("flows", ["CREATED_DESC", "UPDATED_DESC", "NAME_ASC", "NAME_DESC"]),
        ("deployments", ["CREATED_DESC", "UPDATED_DESC", "NAME_ASC", "NAME_DESC"]),
        ("variables", ["CREATED_DESC", "UPDATED_DESC", "NAME_ASC", "NAME_DESC"]),
        ("flow_runs", ["ID_DESC", "START_TIME_ASC", "START_TIME_DESC", "EXPECTED_START_TIME_ASC", "NAME_DESC",
                       "EXPECTED_START_TIME_DESC", "NAME_ASC", "NEXT_SCHEDULED_START_TIME_ASC", "END_TIME_DESC"]),
        ("task_runs", ["ID_DESC", "EXPECTED_START_TIME_ASC", "EXPECTED_START_TIME_DESC", "NAME_ASC", "NAME_DESC",
                       "NEXT_SCHEDULED_START_TIME_ASC", "END_TIME_DESC"]),
        ("artifacts", ["CREATED_DESC", "UPDATED_DESC", "ID_DESC", "KEY_ASC", "KEY_DESC"]),
        ("block_documents", ["NAME_ASC", "NAME_DESC", "BLOCK_TYPE_AND_NAME_ASC"]),
        ("automations", ["CREATED_DESC", "UPDATED_DESC", "NAME_ASC", "NAME_DESC"]),
    ],
)  # fmt: skip
async def test_paging_through_ties_meets_everything_once(world: World, room: str, sorts: list[str]) -> None:
    """All sort keys alike: without a tie-breaker the pages would overlap or leave gaps at will."""
    table = {"flow_runs": "flow_run", "task_runs": "task_run", "flows": "flow", "deployments": "deployment",
             "variables": "variable", "artifacts": "artifact", "block_documents": "block_document",
             "automations": "automation"}[room]  # fmt: skip
    for _ in range(3):
        await world.seed()
    db = world.rooms.scope.db
    await db.execute(f"UPDATE {table} SET created = now(), updated = now()")
    if room in ("flow_runs", "task_runs"):
        await db.execute(f"UPDATE {table} SET name = 'same', expected_start_time = now()")
    for sort in sorts:
        whole = [row["id"] for row in await world.rooms.post(f"/{room}/filter", {"sort": sort})]
        paged: list[str] = []
        for offset in range(len(whole) + 1):
            page = await world.rooms.post(f"/{room}/filter", {"sort": sort, "limit": 1, "offset": offset})
            paged.extend(row["id"] for row in page)
        assert paged == whole, sort
        assert len(set(paged)) == len(paged) > 3


async def test_a_client_that_goes_away_with_its_body_half_sent_is_no_error(
    rooms: Rooms, caplog: pytest.LogCaptureFixture
) -> None:
    messages = [{"type": "http.request", "body": b'{"name": ', "more_body": True}, {"type": "http.disconnect"}]
    scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "path": "/api/flows/", "raw_path": b"/api/flows/",
        "query_string": b"", "scheme": "http", "server": ("sempre.test", 80), "client": ("127.0.0.1", 1),
        "headers": [(b"content-type", b"application/json"), (b"content-length", b"100")],
    }  # fmt: skip
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0) if len(messages) > 1 else messages[0]

    async def send(message: Any) -> None:
        sent.append(message)

    await rooms.app(scope, receive, send)
    assert sent[0]["status"] == 499
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []
