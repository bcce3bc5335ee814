"""Logs: what is taken in and what is not, the query language, the download."""

from __future__ import annotations

import csv
import io
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from tests.integration.protocol.facts import NOBODY, Fact, Invalid, detail, hold
from tests.support.rooms import Rooms


def a_line(**fields: Any) -> dict[str, Any]:
    return {"name": "n", "level": 20, "message": "m", "timestamp": "2026-01-01T00:00:00.123456Z", **fields}


async def test_what_is_taken_in(rooms: Rooms) -> None:
    good: list[dict[str, Any]] = [
        {"level": "20"}, {"message": ""}, {"name": ""}, {"timestamp": 0}, {"timestamp": "2026-01-01"},
        {"flow_run_id": None}, {"flow_run_id": NOBODY, "task_run_id": NOBODY}, {"message": "a\x00b"},
    ]  # fmt: skip
    bad: list[tuple[dict[str, Any], str]] = [
        ({"level": "x"}, "level"), ({"level": 1.5}, "level"), ({"level": None}, "level"),
        ({"message": None}, "message"), ({"message": 5}, "message"), ({"name": None}, "name"),
        ({"timestamp": None}, "timestamp"),
        ({"timestamp": ""}, "timestamp"), ({"timestamp": "PT1H"}, "timestamp"), ({"flow_run_id": "x"}, "flow_run_id"),
        ({"id": "x"}, "id"), ({"other": 1}, "other"),
    ]  # fmt: skip
    rows = [Fact("POST", "/logs/", [a_line(**fields)], 201, None) for fields in good]
    rows += [
        Fact("POST", "/logs/", [a_line(), a_line(**fields)], 422, Invalid(place=f"body.1.{at}")) for fields, at in bad
    ]
    rows += [
        Fact("POST", "/logs/", [], 201, None),
        Fact("POST", "/logs/", {}, 422, Invalid("list_type", "body")),
        Fact("POST", "/logs/", [{}], 422, Invalid("missing", "body.0.name")),
        Fact("POST", "/logs/", [a_line(level=2**40)], 422),
        Fact("POST", "/logs/filter", {"limit": 200}, 200, lambda b: len(b) == len(good)),
    ]
    await hold(rooms, rows)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("err", "ac"), ("ERR", "ac"), ("err api", "acd"), ("err +api", "c"), ("-err", "bd"), ("!err", "bd"),
        ('"time out"', "b"), ('"time out', "b"), ("time out -up", "b"), ("- err", "ac"), ('+"time out" +up', ""),
        ('err "time out" -debug +api', "c"), ("100%_", "d"), ("100%", "d"), ("  ", "abcd"), ("", "abcd"),
        ('"say \\"hi\\""', "d"), ("my.logger", "b"), ("zzz", ""),
    ],
)  # fmt: skip
async def test_text(rooms: Rooms, query: str, expected: str) -> None:
    run = str(uuid4())
    lines = {"a": "Err debug", "b": "Time Out", "c": "err at api", "d": 'api 100%_ say "hi"'}
    sent = [
        a_line(message=text, flow_run_id=run, level=ord(key), name="my.logger" if key == "b" else "x")
        for key, text in lines.items()
    ]
    await rooms.post("/logs/", sent, 201)
    found = await rooms.post("/logs/filter", {"logs": {"flow_run_id": {"any_": [run]}, "text": {"query": query}}})
    assert "".join(sorted(chr(line["level"]) for line in found)) == expected


async def test_the_filter_itself(rooms: Rooms) -> None:
    await hold(
        rooms,
        [
            ("POST", "/logs/filter", {"logs": {"name": {"any_": ["n"]}}}, 422, Invalid("extra_forbidden", "logs.name")),
            ("POST", "/logs/filter", {"logs": {"text": {"query": "x" * 201}}}, 422, Invalid("string_too_long")),
            ("POST", "/logs/filter", {"logs": {"text": {"query": "x" * 200}}}, 200),
            ("POST", "/logs/filter", {"logs": {"operator": "xx"}}, 422, Invalid("enum")),
            ("POST", "/logs/filter", {"sort": "timestamp_asc"}, 422, Invalid("enum", "body.sort")),
            ("POST", "/logs/filter", {"logs": {}, "nope": 1}, 200),
        ],
    )


async def test_the_download(rooms: Rooms) -> None:
    flow = (await rooms.post("/flows/", {"name": f"f-{uuid4()}"}, 201))["id"]
    name = 'lögs, "x" y;z'
    run = (await rooms.post("/flow_runs/", {"flow_id": flow, "name": name}, 201))["id"]
    path = f"/api/flow_runs/{run}/logs/download"
    header = ["timestamp", "level", "flow_run_id", "task_run_id", "message"]
    assert (await rooms.http.get(path)).text == ",".join(header) + "\r\n"
    task, text = str(uuid4()), 'a,"b"\nc\r\né'
    lines = [
        a_line(flow_run_id=run, timestamp="2026-01-01T00:00:02Z", message="later", task_run_id=task),
        a_line(flow_run_id=run, message=text),
        a_line(flow_run_id=str(uuid4())),
    ]
    await rooms.post("/logs/", lines, 201)
    answer = await rooms.http.get(path)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == (
        f"attachment; filename=\"flow-run-logs.csv\"; filename*=UTF-8''{quote(name, safe='')}-logs.csv"
    )
    assert answer.text.endswith(f"2026-01-01 00:00:02+00:00,20,{run},{task},later\r\n")
    assert list(csv.reader(io.StringIO(answer.content.decode(), newline=""))) == [
        header,
        ["2026-01-01 00:00:00.123456+00:00", "20", run, "", text],
        ["2026-01-01 00:00:02+00:00", "20", run, task, "later"],
    ]
    await hold(rooms, [("GET", f"/flow_runs/{NOBODY}/logs/download", None, 404, detail("Flow run not found"))])
