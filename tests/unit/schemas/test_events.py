"""Events: limits, exact messages and where they point; event filters; the cost of one event."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic import TypeAdapter, ValidationError

from sempre.schemas.events import Event, RelatedResource, Resource, ResourceSpecification
from sempre.schemas.filters.events import EventFilter

ID = "019375f0-0000-7000-8000-000000000001"
NOW = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
R = "prefect.resource.id"
ROLE = "prefect.resource.role"


def event(**changes: Any) -> dict[str, Any]:
    body = {"occurred": "2026-11-20T18:00:00+02:00", "event": "made", "resource": {R: "a.b"}, "id": ID}
    return {**body, **changes}


def test_what_comes_out() -> None:
    made = Event.model_validate(event(received="1999-01-01", nope=1, related=[{R: "x", ROLE: "flow"}]))
    received = made.receive(NOW)
    out = json.loads(received.model_dump_json())
    assert list(out) == ["occurred", "event", "resource", "related", "payload", "id", "follows", "received"]
    assert out["occurred"] == out["received"] == "2026-11-20T16:00:00Z"
    assert out["related"] == [{R: "x", ROLE: "flow"}]
    assert (made.resource.id, made.related[0].role, made.related[0].id) == ("a.b", "flow", "x")
    assert type(made.resource) is Resource
    assert type(made.related[0]) is RelatedResource
    assert made.id == UUID(ID)


@pytest.mark.parametrize(
    ("changes", "where", "why"),
    [
        ({"resource": {}}, ("resource",), "Resources must include the prefect.resource.id label"),
        ({"resource": {R: ""}}, ("resource",), "The prefect.resource.id label must be non-empty"),
        (
            {"resource": {R: "a"} | {str(i): "" for i in range(500)}},
            ("resource",),
            "The maximum number of labels per resource is 500",
        ),
        (
            {"related": [{R: "a", ROLE: "x"}, {R: "a"}]},
            ("related", 1),
            "Related Resources must include the prefect.resource.role label",
        ),
        (
            {"related": [{R: "a", ROLE: ""}]},
            ("related", 0),
            "The prefect.resource.role label must be non-empty",
        ),
        ({"related": [{ROLE: "x"}]}, ("related", 0), "Resources must include the prefect.resource.id label"),
        (
            {"related": [{R: "a", ROLE: "x"}] * 101},
            ("related",),
            "The maximum number of related resources is 100",
        ),
        ({"event": "e" * 1025}, ("event",), "Event name must be at most 1024 characters"),
    ],
)
def test_messages(changes: dict[str, Any], where: tuple[Any, ...], why: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Event.model_validate(event(**changes))
    (error,) = caught.value.errors()
    assert (error["loc"], error["msg"], error["type"]) == (where, f"Value error, {why}", "value_error")


@pytest.mark.parametrize(
    "changes",
    [
        {"related": None},
        {"payload": None},
        {"payload": []},
        {"resource": {R: 1}},
        {"resource": {R: "a", "x": None}},
        {"id": None},
        {"occurred": None},
    ],
)
def test_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Event.model_validate(event(**changes))


def test_bounds_are_inclusive() -> None:
    assert Event.model_validate(
        event(
            event="e" * 1024,
            resource={R: "a"} | {str(i): "" for i in range(499)},
            related=[{R: "a", ROLE: "x"}] * 100,
        )
    )
    assert Event.model_validate(event(event="")).event == ""


def test_one_bad_event_names_its_place_in_the_batch() -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(list[Event]).validate_python([event(), event(resource={})])
    assert caught.value.errors()[0]["loc"] == (1, "resource")


def test_specifications() -> None:
    adapter = TypeAdapter(ResourceSpecification)
    given = {R: "a.*", "x": ["!b", "c"]}
    specification = adapter.validate_python(given)
    assert specification == given
    assert specification.patterns() == {R: ["a.*"], "x": ["!b", "c"]}
    assert json.loads(adapter.dump_json(specification)) == given
    with pytest.raises(ValidationError):
        adapter.validate_python({"x": 1})


def test_event_filter_defaults() -> None:
    made = EventFilter()
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    assert midnight - made.occurred.since in (timedelta(days=180), timedelta(days=181))  # or the day just ended
    assert abs(made.occurred.until - datetime.now(UTC)) < timedelta(minutes=1)
    assert (made.id.id, made.order) == (None, "DESC")


@pytest.mark.parametrize(
    "body",
    [
        {"occurred": None},
        {"nope": 1},
        {"event": {"nope": []}},
        {"related": [{"nope": 1}]},
        {"text": {"query": "x" * 201}},
    ],
)
def test_event_filters_refused(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        EventFilter.model_validate(body)


def test_event_filter_lists() -> None:
    made = EventFilter.model_validate(
        {"related": [{"role": ["flow"]}, {"resources_in_roles": [["a", "flow"]]}], "any_resource": {"id": ["a"]}}
    )
    assert isinstance(made.related, list)
    assert made.related[1].resources_in_roles == [("a", "flow")]
