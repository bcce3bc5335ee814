"""Each row of the filter table, asked in storage and in memory: both must agree."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from sempre.schemas.events import Event
from sempre.schemas.filters.events import EventFilter
from sempre.schemas.lists import EventList
from sempre.server.events.append import append, encode
from sempre.server.events.matching import matcher
from sempre.server.events.queries import read_page
from sempre.server.scope import DEFAULT_WORKSPACE, Scope
from tests.support.events import Json, an_event


def related(id: str, role: str, **labels: str) -> Json:
    return {"prefect.resource.id": id, "prefect.resource.role": role, **labels}


def resource(id: str, **labels: str) -> Json:
    return {"prefect.resource.id": id, **labels}


EVENTS = {
    "a": an_event("prefect.flow-run.Running", resource("run.1", color="red", note="50%_off")),
    "b": an_event("prefect.flow-run.Completed", resource("run.2", color="blue"),
                  related=[related("flow.1", "flow", color="red"), related("tag.x", "tag")]),
    "c": an_event("other_event", resource("run.1", color="green"),
                  related=[related("flow.2", "flow"), related("run.2", "parent", color="red")],
                  payload={"message": "It said: Hello World"}),
    "d": an_event("otherXevent", resource("50%_x")),
}  # fmt: skip


@pytest.fixture
async def log(scope: Scope) -> Scope:
    encoded = [encode(Event.model_validate(event), DEFAULT_WORKSPACE, 10_000) for event in EVENTS.values()]
    await append(scope.db, [event for event in encoded if event is not None])
    return scope


CASES: list[tuple[Json, str]] = [
    ({}, "abcd"),
    ({"event": {"name": [], "prefix": [], "exclude_name": [], "exclude_prefix": []}}, "abcd"),
    ({"event": {"prefix": ["prefect.flow-run.", "nope"]}}, "ab"),
    ({"event": {"prefix": ["other_"]}}, "c"),
    ({"event": {"exclude_prefix": ["prefect.", "other_"]}}, "d"),
    ({"event": {"name": ["other_event", "prefect.flow-run.Running"]}}, "ac"),
    ({"event": {"exclude_name": ["other_event", "otherXevent"]}}, "ab"),
    ({"event": {"prefix": ["prefect"], "exclude_name": ["prefect.flow-run.Running"]}}, "b"),
    ({"resource": {"id": ["run.1"]}}, "ac"),
    ({"resource": {"id": ["run.1"], "labels": {"color": "red"}}}, "a"),
    ({"resource": {"id_prefix": ["run."]}}, "abc"),
    ({"resource": {"id_prefix": ["50%_"]}}, "d"),
    ({"resource": {"labels": {"color": ["red", "green"]}}}, "ac"),
    ({"resource": {"labels": {"color": "*e*"}}}, "abc"),
    ({"resource": {"labels": {"color": "?ed"}}}, "a"),
    ({"resource": {"labels": {"color": "!red"}}}, "bc"),
    ({"resource": {"labels": {"color": ["!red", "!blue"]}}}, "abc"),
    ({"resource": {"labels": {"color": "!*e*"}}}, ""),
    ({"resource": {"labels": {"color": []}}}, ""),
    ({"resource": {"labels": {"note": "50%_*"}}}, "a"),
    ({"resource": {"labels": {"note": "50__*"}}}, ""),
    ({"resource": {"labels": {"prefect.resource.id": "run.*"}}}, "abc"),
    ({"related": {}}, "abcd"),
    ({"related": {"id": ["flow.1", "flow.2"]}}, "bc"),
    ({"related": {"id": ["run.1"]}}, ""),
    ({"related": {"id": ["run.2"]}}, "c"),
    ({"related": {"role": ["tag"]}}, "b"),
    ({"related": {"role": [""]}}, "abcd"),
    ({"related": {"role": ["", "tag"], "labels": {"color": "blue"}}}, "b"),
    ({"related": {"id": ["flow.1"], "role": ["tag"]}}, ""),
    ({"related": [{"id": ["flow.1"]}, {"role": ["tag"]}]}, "b"),
    ({"related": {"resources_in_roles": [["flow.1", "flow"], ["flow.2", "tag"]]}}, "b"),
    ({"related": {"labels": {"color": "red"}}}, "bc"),
    ({"related": {"labels": {"color": "red", "prefect.resource.role": "parent"}}}, "c"),
    ({"any_resource": {"id": ["run.2"]}}, "bc"),
    ({"any_resource": {"id_prefix": ["flow."]}}, "bc"),
    ({"any_resource": {"id": ["run.2"], "labels": {"color": "red"}}}, "c"),
    ({"any_resource": {"labels": {"color": "red"}}}, "abc"),
    ({"any_resource": [{"id": ["run.1"]}, {"id": ["run.2"]}]}, "c"),
    ({"id": {"id": []}}, "abcd"),
    ({"id": {"id": [EVENTS["a"]["id"], EVENTS["d"]["id"]]}}, "ad"),
    ({"text": {"query": "  "}}, "abcd"),
    ({"text": {"query": "hello"}}, "c"),
    ({"text": {"query": '"hello world"'}}, "c"),
    ({"text": {"query": "hello blue"}}, "bc"),
    ({"text": {"query": "+red -flow.1"}}, "ac"),
    ({"text": {"query": "50%_"}}, "ad"),
    ({"text": {"query": "prefect.resource.id"}}, "abcd"),
    ({"text": {"query": "message"}}, "c"),
]


async def test_the_filter_table(log: Scope) -> None:
    rows = await log.db.fetch("SELECT * FROM event ORDER BY occurred")
    names = {row["id"]: name for row in rows for name, event in EVENTS.items() if str(row["id"]) == event["id"]}
    wrong: list[Any] = []
    for given, expected in CASES:
        filter = EventFilter.model_validate(given)
        page = await read_page(log.db, DEFAULT_WORKSPACE, EventList(filter=filter))
        in_storage = "".join(sorted(names[row["id"]] for row in page.events))
        matches = matcher(filter)
        in_memory = "".join(sorted(names[row["id"]] for row in rows if matches(row)))
        if (in_storage, in_memory, page.total) != (expected, expected, len(expected)):
            wrong.append((given, expected, in_storage, in_memory, page.total))
    assert wrong == []


async def test_the_window_includes_both_ends(log: Scope) -> None:
    b, c = EVENTS["b"]["occurred"], EVENTS["c"]["occurred"]
    filter = EventFilter.model_validate({"occurred": {"since": b, "until": c}, "order": "ASC"})
    page = await read_page(log.db, DEFAULT_WORKSPACE, EventList(filter=filter))
    assert [str(row["id"]) for row in page.events] == [EVENTS["b"]["id"], EVENTS["c"]["id"]]
    rows = await log.db.fetch("SELECT * FROM event ORDER BY occurred")
    assert [matcher(filter)(row) for row in rows] == [False, True, True, False]


@pytest.mark.parametrize(("order", "expected"), [("ASC", "abd"), ("DESC", "dcb")])
async def test_distinct_resources(log: Scope, order: str, expected: str) -> None:
    filter = EventFilter.model_validate({"resource": {"distinct": True}, "order": order})
    page = await read_page(log.db, DEFAULT_WORKSPACE, EventList(filter=filter, limit=2))
    assert (page.total, len(page.events)) == (3, 2)
    assert page.next is not None
    rest = await read_page(log.db, DEFAULT_WORKSPACE, page.next)
    found = [str(row["id"]) for row in (*page.events, *rest.events)]
    assert found == [EVENTS[name]["id"] for name in expected]
    assert rest.next is None


async def test_another_workspace_sees_nothing(log: Scope) -> None:
    page = await read_page(log.db, UUID(int=1), EventList())
    assert (page.events, page.total) == ([], 0)
