"""Input that means harm: each is answered within seconds, by a success or a clear refusal; what is kept is right."""

from __future__ import annotations

import asyncio
import functools
import gzip
import json
import random
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio

from tests.contract.fuzz import is_protocol_error
from tests.integration.api.world import BODIES, World, open_world
from tests.support.database import Database

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = {"content-type": "application/json"}
# Of processor time, so that a busy machine fails nobody. The worst of these once took minutes, or never ended.
SECONDS = 6.0
LONG = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789-", k=6_000))
IDS = [str(UUID(int=number)) for number in range(10_000)]
CATASTROPHE = "^(a|a)*$"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(database: Database) -> AsyncIterator[World]:
    async with open_world(database) as opened:
        yield opened


async def ask(world: World, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
    """An answer that came in time, without a failure of the server, in the protocol's shape if it is a refusal."""
    request = more or ({} if body is None else {"content": json.dumps(body), "headers": JSON})
    began = time.process_time()
    answer = await world.rooms.http.request(method, f"/api{path}", **request)
    took = time.process_time() - began
    assert answer.status_code < 500, f"{method} {path}: {answer.status_code} {answer.text[:300]}"
    assert took < SECONDS, f"{method} {path} took {took:.1f} s"
    if not answer.is_success:
        assert is_protocol_error(answer.status_code, answer.json()), answer.text[:300]
    return answer


async def refused(world: World, method: str, path: str, body: Any = None, **more: Any) -> str:
    """The text of a 4xx."""
    answer = await ask(world, method, path, body, **more)
    assert 400 <= answer.status_code < 500, f"{method} {path}: {answer.status_code} {answer.text[:300]}"
    return answer.text


async def taken(world: World, method: str, path: str, body: Any = None) -> Any:
    answer = await ask(world, method, path, body)
    assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text[:300]}"
    return answer.json() if answer.content else None


# --- bodies --------------------------------------------------------------------------------------------


async def test_bodies_that_are_compressed_are_not_unpacked(world: World) -> None:
    bomb = gzip.compress(b'{"name": "' + b"x" * 50_000_000 + b'"}')
    for encoding in ("gzip", "deflate", "br", "zstd", "gzip, gzip", "nonsense"):
        await refused(world, "POST", "/flows/", content=bomb, headers={**JSON, "content-encoding": encoding})


async def test_bodies_over_the_limit(world: World) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b" " * 1024 * 1024

    for content in (b" " * (10 * 1024 * 1024 + 1), chunks()):
        assert (await ask(world, "POST", "/flows/filter", content=content, headers=JSON)).status_code == 413


async def test_depth(world: World) -> None:
    for content in (b"[" * 10_000 + b"]" * 10_000, b'{"flows":' * 10_000 + b"{}" + b"}" * 10_000):
        assert "json_invalid" in await refused(world, "POST", "/flows/filter", content=content, headers=JSON)


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**30, 10**300])
async def test_integers_beyond_64_bits_are_refused_rather_than_rounded(world: World, number: int) -> None:
    run = {"flow_id": world.seeds["flow"]}
    for inside in (number, [number], {"a": [{"b": number}]}, [number, float("nan")]):
        assert "64 bits" in await refused(world, "POST", "/flow_runs/", {**run, "parameters": {"n": inside}})
    assert "64 bits" in await refused(world, "POST", "/variables/", {"name": "big", "value": number})


async def test_integers_of_64_bits_come_back_as_they_went(world: World) -> None:
    kept = {"a": 2**64 - 1, "b": -(2**63), "c": 2**53 + 1, "text": "1" * 40, "float": 0.1234567890123456789012}
    made = await taken(world, "POST", "/flow_runs/", {"flow_id": world.seeds["flow"], "parameters": kept})
    assert (await taken(world, "GET", f"/flow_runs/{made['id']}"))["parameters"] == kept


async def test_texts_that_are_none(world: World) -> None:
    for text in (b"\\ud800", b"\\udfff\\ud800", b"\xff", b"\xed\xa0\x80", b"\\u0000"):
        for content in (b'{"name": "%b"}' % text, b'{"name": "x", "labels": {"%b": 1}}' % text):
            await refused(world, "POST", "/flows/", content=content, headers=JSON)


# --- names and keys that do not fit into an index ------------------------------------------------------

NAMED: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/flows/", {"name": LONG}),
    ("POST", "/deployments/", {"name": LONG, "flow_id": "$flow"}),
    ("POST", "/deployments/", {"name": "d", "flow_id": "$flow", "work_pool_name": "$pool", "work_queue_name": LONG}),
    ("POST", "/deployments/", {"name": "d", "flow_id": "$flow",
                               "schedules": [{"schedule": {"cron": "* * * * *"}, "slug": LONG}]}),
    ("POST", "/flow_runs/", {"flow_id": "$flow", "idempotency_key": LONG}),
    ("POST", "/flow_runs/$flow_run/input", {"key": LONG, "value": "v"}),
    ("POST", "/task_runs/", {"flow_run_id": None, "task_key": LONG, "dynamic_key": "0"}),
    ("POST", "/task_runs/", {"flow_run_id": "$flow_run", "task_key": "k", "dynamic_key": LONG}),
    ("POST", "/artifacts/", {"key": LONG, "data": 1}),
    ("POST", "/work_pools/", {"name": LONG}),
    ("POST", "/work_pools/$pool/queues", {"name": LONG}),
    ("POST", "/work_pools/$pool/workers/heartbeat", {"name": LONG}),
    ("POST", "/work_queues/", {"name": LONG}),
    ("PATCH", "/work_queues/$queue", {"name": LONG}),
    ("POST", "/concurrency_limits/", {"tag": LONG, "concurrency_limit": 1}),
    ("POST", "/v2/concurrency_limits/", {"name": LONG, "limit": 1}),
    ("POST", "/block_types/", {"name": LONG, "slug": LONG}),
    ("PUT", "/saved_searches/", {"name": LONG}),
    ("POST", "/automations/", {**BODIES["POST /automations/"], "name": LONG}),
    ("POST", "/automations/", {**BODIES["POST /automations/"], "owner_resource": LONG}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body"), NAMED)
async def test_names_longer_than_a_key_can_be(world: World, method: str, path: str, body: dict[str, Any]) -> None:
    """Random text: what repeats itself is compressed, and fits."""
    seeds = world.seeds
    known = {key: seeds[value[1:]] if str(value).startswith("$") else value for key, value in body.items()}
    path = "/".join(seeds[part[1:]] if part.startswith("$") else part for part in path.split("/"))
    assert (await ask(world, method, path, known)).status_code == 422


async def test_one_of_many_runs_with_a_key_that_is_too_long(world: World) -> None:
    path = f"/deployments/{world.seeds['deployment']}/create_flow_run/bulk"
    results = (await taken(world, "POST", path, [{"idempotency_key": LONG}, {"name": "fine"}]))["results"]
    assert [result["status"] for result in results] == ["FAILED", "CREATED"]


async def test_an_event_that_does_not_fit_spoils_no_other(world: World) -> None:
    def event(**fields: Any) -> dict[str, Any]:
        resource = {"prefect.resource.id": "r"}
        occurred = "2026-11-01T00:00:00Z"
        return {"id": str(uuid4()), "occurred": occurred, "event": "e", "resource": resource, **fields}

    bad = [event(resource={"prefect.resource.id": LONG}), event(event="".join(map(chr, range(0x3400, 0x37F0))))]
    good = [event(event="hostile.neighbour") for _ in range(10)]
    answers = await asyncio.gather(*(ask(world, "POST", "/events", [sent]) for sent in [*good[:5], *bad, *good[5:]]))
    assert [answer.status_code for answer in answers] == [204] * 5 + [422] * 2 + [204] * 5
    found = await taken(world, "POST", "/events/filter", {"filter": {"event": {"name": ["hostile.neighbour"]},
                        "occurred": {"since": "2026-10-01T00:00:00Z", "until": "2026-12-01T00:00:00Z"}}})  # fmt: skip
    assert found["total"] == 10


# --- filters -------------------------------------------------------------------------------------------


async def test_ten_thousand_ids(world: World) -> None:
    for room in ("flow_runs", "task_runs", "flows", "deployments"):
        body = {room: {"id": {"any_": [*IDS[1:], world.seeds[room.removesuffix("s")]]}}}
        assert len(await taken(world, "POST", f"/{room}/filter", body)) == 1
        more = {room: {"id": {"any_": [*IDS, IDS[0]]}}}
        assert "at most 10000" in await refused(world, "POST", f"/{room}/filter", more)
    for member in ("all_", "any_"):
        assert await taken(world, "POST", "/flow_runs/filter", {"flow_runs": {"tags": {member: IDS}}}) == []


async def test_offsets(world: World) -> None:
    for room in ("flow_runs", "task_runs", "logs", "artifacts", "variables", "automations"):
        for offset in (10**9, 2**63 - 1):
            assert await taken(world, "POST", f"/{room}/filter", {"offset": offset}) == []
        await refused(world, "POST", f"/{room}/filter", {"offset": 2**63})
    await refused(world, "POST", "/flow_runs/paginate", {"page": 2**62, "limit": 200})


@pytest.mark.parametrize("text", ["%a" * 900 + "b", "%_" * 1_000, "\\", "\\" * 1_001, "_" * 2_000, "%" * 2_000])
async def test_patterns_that_match_in_many_ways(world: World, text: str) -> None:
    for _ in range(3):
        await taken(world, "POST", "/flow_runs/", {"flow_id": world.seeds["flow"], "name": "a" * 8_000})
    await taken(world, "POST", "/flow_runs/filter", {"flow_runs": {"name": {"like_": text}}})


async def test_patterns_that_are_longer_than_any_name(world: World) -> None:
    for room, member in (("flow_runs", "flow_runs"), ("deployments", "deployments"), ("flows", "flows")):
        body = {member: {"name": {"like_": "%_" * 500_000}}}
        assert "at most" in await refused(world, "POST", f"/{room}/filter", body)


async def test_event_filters_with_many_criteria(world: World) -> None:
    for wanted in (
        {"related": [{"id": ["x"], "labels": {"a": "b"}}] * 2_000},
        {"any_resource": [{"id": ["x"], "labels": {"a": "b"}}] * 2_000},
        {"resource": {"labels": dict.fromkeys(IDS[:2_000], "a*")}},
        {"event": {"name": [*IDS, "x"]}},
        {"text": {"query": "x" * 201}},
    ):
        await refused(world, "POST", "/events/filter", {"filter": wanted})
    for wanted in ({"related": [{"id": ["x"], "labels": {"a": "b"}}] * 50}, {"event": {"prefix": IDS[:5_000]}},
                   {"text": {"query": "-a " * 66}}):  # fmt: skip
        await taken(world, "POST", "/events/filter", {"filter": wanted})


async def test_many_tags_and_labels(world: World) -> None:
    tags, labels = [f"t{n}" for n in range(100_000)], {f"l{n}": n for n in range(100_000)}
    made = await taken(world, "POST", "/flows/", {"name": f"f-{uuid4()}", "tags": tags, "labels": labels})
    read = await taken(world, "GET", f"/flows/{made['id']}")
    assert (len(read["tags"]), len(read["labels"])) == (100_000, 100_000)


# --- templates and placeholders ------------------------------------------------------------------------

TEMPLATES = [
    "{{ a" + ".b" * 100_000 + " }}", "{{ " + "1+" * 40_000 + "1 }}", "{{ x" + "|upper" * 16_000 + " }}",
    "{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}", "{% if 1 %}" * 900 + "{% endif %}" * 900,
    "{% set x = 1 %}" * 5_000, "{{ 1 }}" * 200_000, "x" * 5_000_000, "{% for i in x %}" * 2_000, "{{",
]  # fmt: skip


@pytest.mark.parametrize("template", TEMPLATES, ids=[text[:12] for text in TEMPLATES])
async def test_templates(world: World, template: str) -> None:
    await refused(world, "POST", "/templates/validate", template)


def jinja(template: str) -> dict[str, str]:
    return {"__prefect_kind": "jinja", "template": template}


def as_json(text: str) -> dict[str, str]:
    return {"__prefect_kind": "json", "value": text}


def nested(value: Any, levels: int) -> Any:
    return functools.reduce(lambda inner, _: [inner], range(levels), value)


LOOP = "{% for i in range(100) %}{% for j in range(100) %}{{ i * j }}{% endfor %}{% endfor %}"
PLACEHOLDERS: dict[str, dict[str, Any]] = {
    "much output": {str(n): jinja("{{ 'x' * 900000 }}") for n in range(300)},
    "many loops": {str(n): jinja(LOOP) for n in range(200)},
    "many templates": {str(n): jinja("{{ " + str(n) + " }}") for n in range(3_000)},
    "a macro that calls itself": {"x": jinja("{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}")},
    "a lone surrogate": {"x": jinja("{{ '\\ud800' }}")},
    "a NUL": {"x": jinja("{{ '\\x00' }}")},
    "attributes": {"x": jinja("{{ ''.__class__.__mro__[1].__subclasses__() }}")},
    "a large variable": {str(n): {"__prefect_kind": "workspace_variable", "variable_name": "large"}
                         for n in range(5_000)},
    "a large number": {"x": as_json("1" + "0" * 30)}, "many digits": {"x": as_json("9" * 5_000)},
    "a text that is none": {"x": as_json('{"\\ud800": 1}')}, "a NUL in JSON": {"x": as_json('"\\u0000"')},
    "depth": {"x": as_json("[" * 300 + "]" * 300)}, "more depth": {"x": as_json("[" * 100_000 + "]" * 100_000)},
    "depth in depth": {"x": nested(as_json("[" * 150 + "]" * 150), 150)},
}  # fmt: skip


@pytest.mark.parametrize("what", PLACEHOLDERS)
async def test_placeholders(world: World, what: str) -> None:
    await ask(world, "POST", "/variables/", {"name": "large", "value": "x" * 4_900})
    path = f"/deployments/{world.seeds['deployment']}/create_flow_run"
    await refused(world, "POST", path, {"parameters": PLACEHOLDERS[what]})
    await ask(world, "POST", "/ui/schemas/validate", {"schema": {"type": "array"}, "values": PLACEHOLDERS[what]})


# --- schemas -------------------------------------------------------------------------------------------


def doubling(levels: int) -> dict[str, Any]:
    parts: dict[str, Any] = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(levels)}
    return {"$defs": {**parts, f"a{levels}": {"type": "string"}}, "$ref": "#/$defs/a0"}


TEXT = {"a": "a" * 100 + "!"}
SCHEMAS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a pattern": ({"properties": {"a": {"type": "string", "pattern": CATASTROPHE}}}, TEXT),
    "no pattern": ({"properties": {"a": {"type": "string", "pattern": "("}}}, TEXT),
    "a long pattern": ({"properties": {"a": {"pattern": "(x|y)" * 1_000}}}, TEXT),
    "a pattern of names": ({"patternProperties": {CATASTROPHE: {}}, "additionalProperties": False},
                           {"a" * 100 + "!": 1}),
    "a pattern in another dialect": ({"properties": {"a": {
        "$schema": "http://json-schema.org/draft-07/schema#", "pattern": CATASTROPHE}}}, TEXT),
    "a dialect in data": ({"$ref": "#/default", "default": {
        "$schema": "http://json-schema.org/draft-07/schema#", "properties": {"a": {"pattern": CATASTROPHE}}}}, TEXT),
    "names that are not evaluated": ({"patternProperties": {CATASTROPHE: {}}, "unevaluatedProperties": False},
                                     {"a" * 100 + "!": 1}),
    "references that double": (doubling(40), {"x": 1}),
    "references in a circle": ({"$ref": "#"}, {"x": 1}),
    "nested and not evaluated": (functools.reduce(
        lambda inner, _: {"allOf": [inner, inner], "unevaluatedProperties": False}, range(5),
        {"properties": {"b": {"unevaluatedProperties": False, **doubling(30)}}}), {"b": {"x": 1}}),
    "many parts": ({"properties": {name: {"type": "object", "properties": {"a": {"type": "string"}}}
                                   for name in [*IDS, *LONG, *map(str, range(10_000))]}}, {"x": 1}),
    "long messages": ({"allOf": [{"type": "string"}] * 20_000}, {"a": "x" * 200_000}),
}  # fmt: skip


@pytest.mark.parametrize("what", SCHEMAS)
async def test_schemas(world: World, what: str) -> None:
    schema, values = SCHEMAS[what]
    validated = await refused(world, "POST", "/ui/schemas/validate", {"schema": schema, "values": values})
    assert "Invalid schema" in validated
    made = {"name": f"d-{uuid4()}", "flow_id": world.seeds["flow"], "parameter_openapi_schema": schema}
    deployment = await taken(world, "POST", "/deployments/", {**made, "enforce_parameter_schema": False})
    run = {"parameters": values, "enforce_parameter_schema": True}
    await refused(world, "POST", f"/deployments/{deployment['id']}/create_flow_run", run)
    variables = {"properties": {"v": {"type": "object", "default": values, "allOf": [schema]}}}
    template = {"job_configuration": {"c": "{{ v }}"}, "variables": variables}
    await ask(world, "POST", "/work_pools/", {"name": f"p-{uuid4()}", "base_job_template": template})


async def test_items_that_are_told_apart(world: World) -> None:
    for items, errors in (([{"n": n} for n in range(50_000)], 0), ([1, True, "1", [1], [True]], 0), ([1, 1.0], 1)):
        body = {"schema": {"properties": {"a": {"uniqueItems": True}}}, "values": {"a": items}}
        assert len((await taken(world, "POST", "/ui/schemas/validate", body))["errors"]) == errors


async def test_patterns_that_look_around_are_understood(world: World) -> None:
    number = {"properties": {"n": {"type": "string", "pattern": r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$"}}}
    for text, valid in (("12.5", True), ("abc", False), ("+", False)):
        body = {"schema": number, "values": {"n": text}}
        assert (await taken(world, "POST", "/ui/schemas/validate", body))["valid"] is valid


# --- schedules -----------------------------------------------------------------------------------------

NEVER = [
    "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=31;BYDAY=MO,TU", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=YEARLY;BYYEARDAY=366;BYMONTH=1", "FREQ=MONTHLY;BYSETPOS=366;BYDAY=MO", "RRULE:FREQ=DAILY\nEXRULE:FREQ=DAILY",
    "DTSTART:20200101T000000\nRRULE:FREQ=SECONDLY\nEXRULE:FREQ=SECONDLY", "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=31",
]  # fmt: skip
SELDOM = ["FREQ=SECONDLY;COUNT=1000000000", "FREQ=MINUTELY;INTERVAL=100000000000",
          "DTSTART:00010101T000000\nFREQ=SECONDLY",
          "DTSTART:20200101T000000\nRRULE:FREQ=MINUTELY;BYHOUR=3;COUNT=100000000",
          "DTSTART:99991231T235959\nRRULE:FREQ=DAILY", "\n".join(["RRULE:FREQ=SECONDLY;BYSECOND=1"] * 200)]  # fmt: skip


def _scheduled(world: World, schedule: dict[str, Any]) -> dict[str, Any]:
    return {"name": f"s-{uuid4()}", "flow_id": world.seeds["flow"], "schedules": [{"schedule": schedule}]}


@pytest.mark.parametrize("rule", NEVER)
async def test_rules_without_dates_are_refused(world: World, rule: str) -> None:
    text = await refused(world, "POST", "/deployments/", _scheduled(world, {"rrule": rule, "timezone": "UTC"}))
    assert "never happens" in text


@pytest.mark.parametrize("schedule", [*({"rrule": rule} for rule in SELDOM), {"cron": "0 0 30 2 *"},
                                      {"cron": "0 0 29 2 1"}, {"cron": "* * * * * *"}, {"interval": 1e-6}])  # fmt: skip
async def test_schedules_that_are_hard_to_plan(world: World, schedule: dict[str, Any]) -> None:
    answer = await ask(world, "POST", "/deployments/", _scheduled(world, schedule))
    if answer.is_success:
        await taken(world, "POST", f"/deployments/{answer.json()['id']}/schedule", {"min_runs": 3})
