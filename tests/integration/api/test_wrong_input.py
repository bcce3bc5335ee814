"""Wrong input to every operation of our API document: the protocol's answers, never a 5xx, never half a change."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from sempre.server.actions.runner import Runner
from sempre.server.heartbeats.recording import consumer as pulses
from sempre.server.ids import new_id
from sempre.server.payloads import MAX_DEPTH
from sempre.server.scope import Scope
from sempre.server.services import heartbeats, task_run_recorder
from sempre.server.services.registry import SERVICES
from tests.integration.api.operations import Operation, Place, leaves, replaced
from tests.integration.api.world import BODIES, UNKNOWN, Ledger, World
from tests.integration.triggers.engine import Engine

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = {"content-type": "application/json"}
STATUSES = {400, 403, 404, 409, 410, 413, 422, 423}
# Wrong values of a type each. What is not refused is taken, and must then be readable.
WRONG_TEXTS: list[Any] = ["", "\x00", "a\x00b", "x" * 10_240, "%" * 300, "a' OR '1'='1", "\\", "{{ x", 5, None, {}]
WRONG_NUMBERS = [-1, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**30, 1e308, 5.5, "x", None, []]
WRONG_FLAGS = ["maybe", 2, None, [], {}]
TOPS: list[Any] = [7, True, "text", [], {}, [{}], [None], [[]], None]
PYTHON: dict[str, type] = {"object": dict, "array": list, "string": str, "null": type(None)}
PLAIN_WRITES = {"log", "event"}  # taken in by one request and written by a background writer, maybe during the next


class Sweep:
    """Sends, checks, and gathers what is wrong with the answers."""

    def __init__(self, world: World, ledger: Ledger) -> None:
        self.world, self.ledger = world, ledger
        self.faults: list[str] = []
        self.statuses: Counter[int] = Counter()

    async def send(self, operation: Operation, what: str, *, path: str | None = None, **request: Any) -> int:
        url = "/api" + (path or self.world.path(operation))
        answer = await self.world.rooms.http.request(operation.method, url, **request)
        written = set(await self.ledger.entries())
        self.statuses[answer.status_code] += 1
        if fault := _fault(answer, written):
            self.faults.append(f"{operation.key} with {what}: {fault}")
        if answer.is_success and ("bulk_" in operation.path or operation.method == "DELETE"):
            await self.world.seed()
            await self.ledger.entries()
        return answer.status_code

    async def json(self, operation: Operation, what: str, body: Any, **more: Any) -> int:
        return await self.send(operation, what, content=json.dumps(body), headers=JSON, **more)

    def done(self) -> None:
        assert not self.faults, f"{len(self.faults)} of {sum(self.statuses.values())}:\n" + "\n".join(self.faults[:60])


def _fault(answer: httpx.Response, written: set[str]) -> str | None:
    status = answer.status_code
    if answer.is_success:
        return None
    if status not in STATUSES or "error parsing the body" in answer.text:
        return f"{status} {answer.text[:300]}"
    if written - PLAIN_WRITES:
        return f"{status} and yet it wrote {sorted(written)}: {answer.text[:200]}"
    return None if _is_protocol(status, answer.json()) else f"{status} with the body {answer.text[:300]}"


def _is_protocol(status: int, body: Any) -> bool:
    if not isinstance(body, dict):
        return False
    if set(body) == {"exception_message", "exception_detail", "request_body"}:
        items = body["exception_detail"]
        named = all({"type", "loc", "msg"} <= set(item) and isinstance(item["loc"], list) for item in items)
        return status == 422 and body["exception_message"] == "Invalid request received." and bool(items) and named
    if set(body) in ({"detail"}, {"exception_message"}):
        return isinstance(next(iter(body.values())), str)
    return status == 422 and set(body) == {"error"}


@pytest.fixture
def sweep(world: World, ledger: Ledger) -> Sweep:
    return Sweep(world, ledger)


class Seen:
    """Many operations share the members of filters: how often each place was met, under any operation for a filter."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._times: Counter[tuple[str, ...]] = Counter()

    def often(self, operation: Operation, place: Place) -> int:
        shared = operation.key not in BODIES
        member = tuple(part for part in place[-3:] if isinstance(part, str))
        key = member if shared else (operation.key, *member)
        self._times[key] += 1
        return self._times[key]


def _with_body(world: World) -> Iterator[Operation]:
    return (operation for operation in world.document.operations if operation.schema is not None)


async def _record(scope: Scope) -> None:
    await task_run_recorder.consumer(scope, leased=False).drain()


async def _evaluate(scope: Scope) -> None:
    engine = Engine(scope)
    await engine.drain()
    await engine.look()


async def _act(scope: Scope) -> None:
    await Runner(scope, new_id()).run_due()


async def _listen(scope: Scope) -> None:
    listening = pulses(scope, leased=False)
    await listening.drain()
    await heartbeats.judge(scope, listening)


# Services that would wait for more to do: through all that there is.
DRAINS = {"task_run_recorder": _record, "triggers": _evaluate, "actions": _act, "heartbeats": _listen}


async def _all_still_works(sweep: Sweep) -> None:
    """What was taken in must not have spoilt any reading, nor the rounds of any service."""
    scope = sweep.world.rooms.scope
    for service in SERVICES:
        try:
            await DRAINS.get(service.name, service.run)(scope)
        except Exception as error:
            sweep.faults.append(f"afterwards the service {service.name}: {error!r}"[:300])
    for operation in sweep.world.document.operations:
        listing = operation.path.endswith(("/filter", "/paginate", "/count", "/history", "/lateness"))
        if operation.method == "GET" or listing:
            body = sweep.world.body(operation) if operation.schema and operation.body_required else None
            request: dict[str, Any] = {} if body is None else {"json": body}
            answer = await sweep.world.rooms.http.request(
                operation.method, "/api" + sweep.world.path(operation), **request
            )
            if answer.status_code >= 500:
                sweep.faults.append(f"afterwards {operation.key}: {answer.status_code} {answer.text[:200]}")
    await sweep.ledger.entries()


async def test_the_bodies_this_suite_starts_from_are_right(sweep: Sweep, world: World) -> None:
    """Otherwise nothing below would come past the validation of shapes."""
    for operation in _with_body(world):
        status = await sweep.json(operation, "its own body", world.body(operation))
        if status >= 300:
            sweep.faults.append(f"{operation.key}: {status}")
    sweep.done()


async def test_a_wrong_value_in_every_place(sweep: Sweep, world: World) -> None:
    """A hostile value in each place of each body, one at a time; what is taken must not spoil what is read."""
    choose = random.Random(7)
    seen = Seen(2)
    for operation in _with_body(world):
        for place, value in list(leaves(world.body(operation))):
            times = seen.often(operation, place)
            if times > seen.most:
                continue
            for wrong in _wrong(value, choose, thorough=times == 1):
                body = replaced(world.body(operation), place, wrong)
                await sweep.json(operation, f"{str(wrong)[:40]!r} at {'.'.join(map(str, place))}", body)
    await _all_still_works(sweep)
    sweep.done()


def _wrong(value: Any, choose: random.Random, *, thorough: bool) -> list[Any]:
    if isinstance(value, bool):
        wrong: list[Any] = WRONG_FLAGS
    elif isinstance(value, int | float):
        wrong = WRONG_NUMBERS
    else:
        wrong = WRONG_TEXTS
    return wrong if thorough else choose.sample(wrong, 1)


MALFORMED = {
    "cut off": b'{"name": "x", ', "no JSON": b"name=x", "single quotes": b"{'a': 1}", "trailing comma": b'{"a": 1,}',
    "two documents": b"{} {}", "not UTF-8": b'{"name": "\xff\xfe"}', "UTF-16": '{"name": "x"}'.encode("utf-16"),
    "a NUL byte": b'{"name": "a\x00b"}', "a thousand levels": b'{"a":' * 1000 + b"1" + b"}" * 1000,
    "a hundred thousand levels": b"[" * 100_000 + b"]" * 100_000, "only openings": b'{"a":[' * 50_000,
    "deep beside NaN": b'{"x": NaN, "a": ' + b"[" * 90_000 + b"]" * 90_000 + b"}",
    "a lone surrogate": b'{"name": "\\ud800"}', "one beside NaN": b'{"x": NaN, "name": "\\ud800"}',
    "a hidden surrogate as key": b'{"x": NaN, "\\udfff": 1}',
}  # fmt: skip


@pytest.mark.parametrize("what", MALFORMED)
async def test_malformed_bodies(sweep: Sweep, world: World, what: str) -> None:
    for operation in _with_body(world):
        status = await sweep.send(operation, what, content=MALFORMED[what], headers=JSON)
        if status != 422:
            sweep.faults.append(f"{operation.key}: {status}")
    sweep.done()


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"])
async def test_other_types_of_content_are_not_read_as_json(sweep: Sweep, world: World, content_type: str) -> None:
    for operation in _with_body(world):
        if operation.path.endswith("templates/validate"):
            continue  # a body that is one text is that text
        body = json.dumps(world.body(operation)).encode()
        status = await sweep.send(operation, content_type, content=body, headers={"content-type": content_type})
        if status != 422:
            sweep.faults.append(f"{operation.key}: {status}")
    sweep.done()


async def test_wrong_types_at_the_top(sweep: Sweep, world: World) -> None:
    for operation in _with_body(world):
        assert operation.schema is not None
        kinds = {choice.get("type") for choice in operation.schema.get("anyOf", [operation.schema])}
        right = tuple(kind for name, kind in PYTHON.items() if name in kinds)
        for body in TOPS:
            status = await sweep.json(operation, f"the body {body!r}", body)
            if status < 300 and not isinstance(body, right) and (body is not None or operation.body_required):
                sweep.faults.append(f"{operation.key} took the body {body!r}")
    sweep.done()


async def test_deep_values_where_any_value_is_allowed(sweep: Sweep, world: World) -> None:
    """Just within the bound, in every free place: kept, and given back by every reading."""
    seen = Seen(1)
    for operation in _with_body(world):
        for place, value in leaves(world.body(operation)):
            if seen.often(operation, place) > seen.most:
                continue
            for listed in (True, False):
                deep: Any = value
                for _ in range(MAX_DEPTH - len(place)):
                    deep = [deep] if listed else {"a": deep}
                await sweep.json(operation, f"depth at {place}", replaced(world.body(operation), place, deep))
    await _all_still_works(sweep)
    sweep.done()


async def test_unknown_keys_and_missing_ones(sweep: Sweep, world: World) -> None:
    seen = Seen(4)
    for operation in _with_body(world):
        body = world.body(operation)
        if not isinstance(body, dict):
            continue
        await sweep.json(operation, "an unknown key", {**body, "no_such_key": 1, "\x00": {"a": "\x00"}})
        for key in body:
            if seen.often(operation, (key,)) > seen.most:
                continue
            await sweep.json(operation, f"no {key}", {k: v for k, v in world.body(operation).items() if k != key})
            await sweep.json(operation, f"a null {key}", {**world.body(operation), key: None})
    await _all_still_works(sweep)
    sweep.done()


async def test_unknown_ids_and_hostile_names_in_paths(sweep: Sweep, world: World) -> None:
    texts = [UNKNOWN, "no-such-name", "%00", "a%00b", "%ED%A0%80", "%FF", "x" * 5_000, "%2e%2e", "%", "%25",
             "a%20b", "%F0%9F%98%80", "'", "{{x}}", "0", "-1"]  # fmt: skip
    for operation in world.document.operations:
        for name in operation.path_names:
            for text in texts:
                path = world.path(operation, **{name: text})
                request: dict[str, Any] = {}
                if operation.schema is not None:
                    request = {"content": json.dumps(world.body(operation)), "headers": JSON}
                await sweep.send(operation, f"{name}={text[:20]}", path=path, **request)
    sweep.done()


async def test_hostile_queries(sweep: Sweep, world: World) -> None:
    for operation in world.document.operations:
        for name in operation.query:
            path = world.path(operation).partition("?")[0]
            for value in ("", "%00", "%FF", "x" * 5_000, "NaN", "1e400", "99999999999999999999", UNKNOWN, "%ED%A0%80"):
                await sweep.send(operation, f"?{name}={value[:20]}", path=f"{path}?{name}={value}")
            await sweep.send(operation, f"{name} twice", path=f"{path}?{name}=a&{name}=b")
    sweep.done()


async def test_hostile_headers(sweep: Sweep, world: World) -> None:
    headers: list[list[tuple[str, str]]] = [
        [("prefect-automation-id", "x"), ("prefect-automation-name", "x")],
        [("prefect-automation-id", UNKNOWN), ("prefect-automation-name", "AA==")],
        [("prefect-automation-id", UNKNOWN), ("prefect-automation-name", "////")],
        [("x-prefect-api-version", "0.8.4"), ("x-prefect-api-version", "0.1.0")],
        [("x-prefect-api-version", "9" * 5_000 + ".0.0")],
        [("user-agent", "prefect/" + "9" * 5_000 + ".0.0 (API 0.8.4)")],
        [("x-prefect-ui", "maybe")],
        [("content-type", "application/json"), ("content-type", "text/plain")],
        [("accept-encoding", "gzip;q=x"), ("accept", "\xff")],
        [("content-type", "application/json; charset=utf-16")],
    ]
    for operation in world.document.operations[::4]:
        content = None if operation.schema is None else json.dumps(world.body(operation)).encode()
        for sent in headers:
            raw = [(name.encode(), value.encode("latin-1")) for name, value in (*JSON.items(), *sent)]
            path = world.path(operation, **dict.fromkeys(operation.path_names, UNKNOWN))
            await sweep.send(operation, str(sent)[:60], path=path, content=content, headers=raw)
    sweep.done()


async def test_ten_thousand_ids_in_every_list(sweep: Sweep, world: World) -> None:
    """Each list of ids or names that a body may hold, at once and long."""
    many_ids = [str(UUID(int=n)) for n in range(10_001)]
    seen = Seen(1)
    for operation in _with_body(world):
        body = world.body(operation)
        ids = [place for place, value in leaves(body) if place and isinstance(place[-1], int) and value == UNKNOWN]
        names = [place for place, _ in leaves(body) if place[-1:] == (0,) and place not in ids]
        for places, many in ((ids, many_ids), (names, [f"n{n}" for n in range(10_001)])):
            for place in places:
                if seen.often(operation, place) <= seen.most:
                    await sweep.json(operation, f"10,001 at {place[:-1]}", replaced(body, place[:-1], many))
    sweep.done()


async def test_huge_pages(sweep: Sweep, world: World) -> None:
    for operation in _with_body(world):
        assert operation.schema is not None
        for key in {"limit", "offset", "page", "flow_run_limit"} & set(operation.schema.get("properties", {})):
            for number in (2**31, 2**63 - 1, 2**63, 2**64, 10**30, -1, "1", "1.0", 1.5, "x"):
                await sweep.json(operation, f"{key} {number}", {**world.body(operation), key: number})
    sweep.done()
