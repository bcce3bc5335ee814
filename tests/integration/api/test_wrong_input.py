"""Wrong input to every operation of our API document: the protocol's answers, never a 5xx, never half a change."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.integration.api.operations import Operation, Place, leaves, replaced
from tests.integration.api.world import Ledger, World

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = {"content-type": "application/json"}
STATUSES = {400, 403, 404, 409, 410, 413, 422, 423}
# Wrong values of a type each. What is not refused is taken, and must then be readable.
WRONG_TEXTS = ["", "\x00", "a\x00b", "\ud800", "x" * 10_240, "%" * 300, "a' OR '1'='1", "\\", "{{ x", '"', 5, None, {}, []]
WRONG_NUMBERS = [-1, 2**31, 2**63, -(2**63) - 1, 2**64, 10**30, 1e308, 5.5, "x", "", None, [], {}]
WRONG_FLAGS = ["maybe", 2, None, [], {}]
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
    if status not in STATUSES:
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


def _with_body(world: World) -> Iterator[Operation]:
    return (operation for operation in world.document.operations if operation.schema is not None)


async def _reads_still_work(sweep: Sweep) -> None:
    """What was taken in must not have spoilt any reading."""
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
    refused = []
    for operation in _with_body(world):
        status = await sweep.json(operation, "its own body", world.body(operation))
        if status >= 300:
            refused.append((operation.key, status))
    sweep.done()
    # A lease may be given back only once, no run is paused here, no events token is at hand.
    assert refused == [], refused


async def test_every_wrong_value_in_every_place(sweep: Sweep, world: World) -> None:
    """A hostile value in each place of each body, one at a time."""
    choose = random.Random(7)
    seen: Counter[tuple[Any, ...]] = Counter()
    for operation in _with_body(world):
        for place, value in list(leaves(world.body(operation))):
            for wrong in _wrong(value, choose, thorough=_first(seen, place)):
                body = replaced(world.body(operation), place, wrong)
                await sweep.json(operation, f"{str(wrong)[:40]!r} at {'.'.join(map(str, place))}", body)
    await _reads_still_work(sweep)
    print(sweep.statuses)
    sweep.done()


def _first(seen: Counter[tuple[Any, ...]], place: Place) -> bool:
    """Whether a member of a filter was met at most once before: many operations share them."""
    key = tuple(part for part in place[-3:] if isinstance(part, str))
    seen[key] += 1
    return seen[key] <= 2


def _wrong(value: Any, choose: random.Random, *, thorough: bool) -> list[Any]:
    if isinstance(value, bool):
        wrong: list[Any] = WRONG_FLAGS
    elif isinstance(value, int | float):
        wrong = WRONG_NUMBERS
    else:
        wrong = WRONG_TEXTS
    return wrong if thorough else choose.sample(wrong, 1)
