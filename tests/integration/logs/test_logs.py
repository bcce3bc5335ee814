"""Run logs: writing, searching, streaming."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import orjson
import pytest

from sempre.schemas.filters.logs import LogFilter
from sempre.schemas.lists import LogList
from sempre.schemas.logs import LogCreate
from sempre.server.lists import Part
from sempre.server.logs.matching import matcher
from sempre.server.logs.queries import pages_of_flow_run, read_logs, write_logs
from sempre.server.scope import DEFAULT_WORKSPACE, Scope
from tests.support.database import Database
from tests.support.events import Json, Live, serving
from tests.support.scopes import until

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
RUN, OTHER, TASK = (str(uuid4()) for _ in range(3))


def a_line(message: str = "hello", second: int = 0, **fields: Any) -> Json:
    return {
        "name": "prefect.flow_runs", "level": 20, "message": message, "flow_run_id": RUN, "task_run_id": None,
        "timestamp": (START + timedelta(seconds=second)).isoformat(), **fields,
    }  # fmt: skip


LINES = [
    a_line("Beginning flow run", 0),
    a_line("Time Out while connecting", 1, level=40, task_run_id=TASK),
    a_line("debug api call", 2, level=10, name="my.logger"),
    a_line("100%_done", 3, flow_run_id=OTHER),
]


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({}, [0, 1, 2, 3]),
        ({"level": {"ge_": 20}}, [0, 1, 3]),
        ({"level": {"ge_": 20, "le_": 30}}, [0, 3]),
        ({"flow_run_id": {"any_": [RUN]}}, [0, 1, 2]),
        ({"flow_run_id": {"any_": []}}, []),
        ({"task_run_id": {"any_": [TASK]}}, [1]),
        ({"task_run_id": {"is_null_": True}}, [0, 2, 3]),
        ({"timestamp": {"after_": (START + timedelta(seconds=1)).isoformat()}}, [1, 2, 3]),
        ({"timestamp": {"before_": START.isoformat()}}, [0]),
        ({"text": {"query": "MY.logger"}}, [2]),
        ({"text": {"query": '"time out"'}}, [1]),
        ({"text": {"query": "flow -debug"}}, [0, 1, 3]),
        ({"text": {"query": "100%_"}}, [3]),
        ({"text": {"query": " "}}, [0, 1, 2, 3]),
        ({"operator": "or_", "level": {"ge_": 40}, "flow_run_id": {"any_": [OTHER]}}, [1, 3]),
    ],
)
async def test_the_filter(live: Live, filter: Json, expected: list[int]) -> None:
    assert (await live.post("/logs/", LINES)).status_code == 201
    found = (await live.post("/logs/filter", {"logs": filter})).json()
    assert [line["message"] for line in found] == [LINES[n]["message"] for n in expected]
    matches = matcher(LogFilter.model_validate(filter))
    rows = await live.scope.db.fetch("SELECT * FROM log ORDER BY seq")
    assert [n for n, row in enumerate(rows) if matches(row)] == expected


async def test_a_line_comes_back_as_it_went(live: Live) -> None:
    answer = await live.post("/logs/", [a_line("with\x00nul", name="a\x00b")])
    assert (answer.status_code, answer.json()) == (201, None)
    [line] = (await live.post("/logs/filter", {})).json()
    assert list(line) == [
        "id", "created", "updated", "name", "level", "message", "timestamp", "flow_run_id", "task_run_id",
    ]  # fmt: skip
    assert (line["name"], line["message"], line["timestamp"]) == ("ab", "withnul", "2026-11-20T12:00:00Z")


async def test_order_and_pages(live: Live) -> None:
    await live.post("/logs/", [a_line(str(n), 0) for n in range(5)])

    async def page(**body: Any) -> list[str]:
        return [line["message"] for line in (await live.post("/logs/filter", body)).json()]

    assert await page(limit=2) == ["0", "1"]
    assert await page(limit=2, offset=4) == ["4"]
    assert await page(sort="TIMESTAMP_DESC", limit=2) == ["4", "3"]
    refused = await live.post("/logs/filter", {"limit": 1000})
    assert refused.status_code == 422
    assert "Invalid limit" in refused.text


async def test_an_unknown_key_is_refused_and_nothing_is_stored(live: Live) -> None:
    assert (await live.post("/logs/", [a_line(), a_line(extra=1)])).status_code == 422
    assert (await live.post("/logs/filter", {})).json() == []
    assert (await live.post("/logs/", [])).status_code == 201


async def test_all_pages_of_a_flow_run(scope: Scope) -> None:
    lines = [LogCreate.model_validate(a_line(str(n), n // 700)) for n in range(2500)]
    await write_logs(scope.db, DEFAULT_WORKSPACE, lines)
    run = lines[0].flow_run_id
    assert run is not None
    pages = [page async for page in pages_of_flow_run(scope.db, DEFAULT_WORKSPACE, run)]
    assert [len(page) for page in pages] == [1000, 1000, 500]
    assert [row["message"] for page in pages for row in page] == [str(n) for n in range(2500)]
    rows = await read_logs(scope.db, DEFAULT_WORKSPACE, LogList(), Part(10))
    assert len(rows) == 10


async def test_lines_are_streamed_as_they_come(live: Live) -> None:
    async with live.authenticated("/logs/out") as socket:
        filter = {"flow_run_id": {"any_": [RUN]}, "level": {"ge_": 20}, "timestamp": {"after_": START.isoformat()}}
        await socket.send(orjson.dumps({"type": "filter", "filter": filter}).decode())
        await until(lambda: live.runtime.log_tail._subscriptions, "the subscription is in place")
        await until(lambda: live.runtime.log_tail._started.done(), "the tail is in place")  # type: ignore[union-attr]
        await live.post("/logs/", [a_line("no", level=10), a_line("no", flow_run_id=OTHER), a_line("yes")])
        message = orjson.loads(await asyncio.wait_for(socket.recv(), 60))
        assert (message["type"], message["log"]["message"]) == ("log", "yes")
        assert set(message["log"]) == {
            "id", "created", "updated", "name", "level", "message", "timestamp", "flow_run_id", "task_run_id",
        }  # fmt: skip


@pytest.mark.parametrize("switch", ["STREAM_OUT_ENABLED", "STREAM_PUBLISHING_ENABLED"])
async def test_a_feed_that_is_off_is_silent(database: Database, switch: str) -> None:
    async with (
        serving(database, {f"SEMPRE_SERVER_LOGS_{switch}": "false"}) as live,
        live.authenticated("/logs/out") as socket,
    ):
        await socket.send('{"type":"filter","filter":{}}')
        await live.post("/logs/", [a_line()])
        await asyncio.wait_for(await socket.ping(), 60)
        assert not live.runtime.log_tail._subscriptions


async def test_lines_with_ids_are_stored_once(live: Live) -> None:
    now = datetime.now(UTC)
    ids = [str(uuid4()) for _ in range(3)]
    lines = [a_line(str(n), id=id, timestamp=(now - timedelta(days=n)).isoformat()) for n, id in enumerate(ids)]
    for batch in (lines[:2], lines, [lines[2], lines[2], a_line("without")], [a_line("without")]):
        assert (await live.post("/logs/", batch)).status_code == 201
    found = (await live.post("/logs/filter", {"sort": "TIMESTAMP_DESC"})).json()
    assert [line["id"] for line in found if line["message"] != "without"] == ids
    assert len(found) == 5, "lines without ids are stored as often as they come"


async def test_a_line_of_a_wrong_clock_is_filed_under_the_time_it_came(live: Live) -> None:
    far = [datetime(1970, 1, 1, tzinfo=UTC), datetime.now(UTC) + timedelta(days=400)]
    await live.post("/logs/", [a_line(id=str(uuid4()), timestamp=time.isoformat()) for time in far])
    rows = await live.scope.db.fetch("SELECT recorded, timestamp FROM log ORDER BY timestamp")
    assert [row["timestamp"] for row in rows] == far
    assert all(abs(datetime.now(UTC) - row["recorded"]) < timedelta(hours=1) for row in rows)
