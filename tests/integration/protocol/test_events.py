"""Events and automations over HTTP: every status and text, what filters match, how counts are put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from sempre.server.runtime import Runtime
from tests.integration.protocol.facts import NOBODY, Fact, Invalid, detail, hold, message
from tests.support.rooms import Rooms

FORBIDDEN = detail("Forbidden")
TRIGGER: dict[str, Any] = {"type": "event", "posture": "Reactive", "expect": ["x.y"], "threshold": 1, "within": 0}


@pytest.fixture
async def ingest(rooms: Rooms) -> AsyncIterator[Rooms]:
    """The rooms with what takes events in."""
    runtime = Runtime(rooms.scope)
    await runtime.start()
    rooms.app.state.runtime = runtime
    yield rooms
    await runtime.stop()


def event(number: int, name: str = "t.a", resource: Any = "r.1", **more: Any) -> dict[str, Any]:
    """``resource``: its id, or all of it."""
    labels = {"prefect.resource.id": resource, **more.pop("labels", {})} if isinstance(resource, str) else resource
    occurred = (datetime.now(UTC) - more.pop("ago", timedelta(hours=1))).isoformat()
    id = str(UUID(int=0xABC000 + number))
    return {"id": id, "event": name, "occurred": occurred, "resource": labels, "related": [], "payload": {}, **more}


def related(*roles: str, id: str = "x") -> list[dict[str, str]]:
    return [{"prefect.resource.id": id, "prefect.resource.role": role} for role in roles]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"resource": {}}, "Resources must include the prefect.resource.id label"),
    ({"resource": {"prefect.resource.id": ""}}, "The prefect.resource.id label must be non-empty"),
    ({"labels": {f"l{n}": "v" for n in range(500)}}, "The maximum number of labels per resource is 500"),
    ({"related": [{"prefect.resource.id": "x"}]}, "Related Resources must include the prefect.resource.role label"),
    ({"related": related("")}, "The prefect.resource.role label must be non-empty"),
    ({"related": related(*["r"] * 101)}, "The maximum number of related resources is 100"),
    ({"name": "x" * 1025}, "Event name must be at most 1024 characters"),
    ({"related": None}, ""),
    ({"payload": None}, ""),
    ({"payload": []}, ""),
    ({"follows": "q"}, ""),
]


async def test_what_is_taken_in(ingest: Rooms) -> None:
    def mine(*numbers: int) -> Fact:
        ids = {"id": {"id": [str(UUID(int=0xABC000 + n)) for n in range(10)]}}
        wanted = {str(UUID(int=0xABC000 + n)) for n in numbers}
        return Fact("POST", "/events/filter", {"filter": ids}, 200, lambda b: {e["id"] for e in b["events"]} == wanted)

    odd = {**event(3, ""), "received": "2020-01-01", "zz": 1}
    await hold(
        ingest,
        [
            ("POST", "/events", [], 204, None),
            ("POST", "/events", {}, 422, Invalid("list_type", "body")),
            *(
                ("POST", "/events", [event(1), event(2, **refused)], 422, Invalid("", "body.1",
                 text and f"Value error, {text}"))
                for refused, text in REFUSED
            ),
            mine(),  # one that is refused takes the others with it
            ("POST", "/events", [event(1), event(2), odd], 204, None),
            ("POST", "/events", [event(1, "again")], 204, None),
            mine(1, 2, 3),
        ],
    )  # fmt: skip


async def test_filters_and_pages(ingest: Rooms) -> None:
    flow = [{**related("flow", id="f.1")[0], "prefect.resource.name": "F"}]
    day = timedelta(days=1)
    told = [
        event(21, "t.a", "r.1", related=[*flow, *related("tag", id="tag.1")], payload={"msg": "hello World"}),
        event(22, "t.a", "r.2", ago=timedelta(hours=2)),
        event(23, "t.b", "r.1", ago=timedelta(hours=3), related=flow),
        event(24, "t.b.c", "r_3", ago=2 * day, labels={"env": "prod"}),
        event(25, "other", "r.9", ago=-day),
        event(26, "t.a", "r.1", ago=190 * day),
    ]
    await ingest.post("/events", told, 204)
    ours = {"id": [one["id"] for one in told]}

    def found(numbers: str, **filter: Any) -> Fact:
        """The numbers of the events, the latest first."""
        body = {"filter": {"id": ours, **filter}}
        wanted = [str(UUID(int=0xABC000 + 20 + int(n))) for n in numbers]
        return Fact("POST", "/events/filter", body, 200, lambda b: [e["id"] for e in b["events"]] == wanted)

    def refused(type: str, **filter: Any) -> Fact:
        return Fact("POST", "/events/filter", {"filter": filter}, 422, Invalid(type))

    await hold(
        ingest,
        [
            found("1234"),  # neither the future nor what is half a year old
            found("4321", order="ASC"),
            found("1234", event={"prefix": ["t."]}), found("12", event={"prefix": ["t."], "exclude_prefix": ["t.b"]}),
            found("34", event={"exclude_name": ["t.a"]}), found("1234", event={"name": []}),
            found("4", resource={"id_prefix": ["r_"]}),  # a text, not a pattern
            found("4", resource={"labels": {"env": "p?o*"}}), found("", resource={"labels": {"env": ["!prod"]}}),
            found("", resource={"labels": {"env": []}}), found("1234", resource={"id": []}),
            found("124", resource={"distinct": True}), found("432", resource={"distinct": True}, order="ASC"),
            found("13", related={"id": ["f.1"]}), found("", related={"id": ["f.1"], "role": ["tag"]}),
            found("13", related={"resources_in_roles": [["f.1", "flow"]]}), found("", related={"id": ["r.1"]}),
            found("1", related=[{"id": ["f.1"]}, {"id": ["tag.1"]}]), found("1234", related=[]),
            found("13", any_resource={"id": ["r.1"]}), found("1", any_resource={"id_prefix": ["tag"]}),
            found("1", text={"query": "HELLO"}), found("234", text={"query": "-hello"}),
            found("1", text={"query": '"hello world"'}), found("1234", text={"query": " "}),
            found("512346", occurred={"since": "2020-01-01", "until": (datetime.now(UTC) + 2 * day).isoformat()}),
            refused("string_too_long", text={"query": "x" * 201}), refused("", occurred={"since": None}),
            refused("extra_forbidden", zz=1), refused("enum", order="UP"),
            ("POST", "/events/filter", {"limit": -1}, 422, Invalid("greater_than_equal", "limit")),
            ("POST", "/events/filter", {"limit": 0}, 200, lambda b: b["events"] == [] and b["next_page"] is None),
            ("POST", "/events/filter", None, 200),
            *(("GET", f"/events/filter/next?page-token={token}", None, 403, FORBIDDEN)
              for token in ("", "zzz", "!", "e30=", "ZTMwPQ==", "bnVsbA==")),
            ("GET", "/events/filter/next", None, 422, Invalid("missing", "page-token")),
        ],
    )  # fmt: skip
    page = await ingest.post("/events/filter", {"filter": {"id": ours}, "limit": 3})
    assert page["next_page"].startswith("http://sempre.test/api/events/filter/next?page-token=")
    rest = await ingest.get(page["next_page"].removeprefix("http://sempre.test/api"))
    assert [len(page["events"]), len(rest["events"]), page["total"], rest["total"]] == [3, 1, 4, 4]
    assert rest["next_page"] is None


async def test_counts(ingest: Rooms) -> None:
    at = {"a": "2026-11-10T10:00:00Z", "b": "2026-11-11T12:30:00Z"}
    told = [
        {**event(11, "c.a", "one", labels={"prefect.resource.name": "Old"}), "occurred": at["a"]},
        {**event(12, "c.a", "one", labels={"prefect.resource.name": "New"}), "occurred": at["b"]},
        {**event(13, "c.b", "two"), "occurred": at["a"]},
    ]
    await ingest.post("/events", told, 204)
    window = {"since": "2026-11-10T03:00:00Z", "until": "2026-11-12T05:00:00Z"}
    filter = {"id": {"id": [one["id"] for one in told]}, "occurred": window}

    def counts(by: str, *expected: tuple[str, str, int], **more: Any) -> Fact:
        def same(body: Any) -> bool:
            return [(c["value"], c["label"], c["count"]) for c in body] == [*expected]

        return Fact("POST", f"/events/count-by/{by}", {"filter": filter, **more}, 200, same)

    days = [(str(n), f"2026-11-{10 + n}T00:00:00+00:00", count) for n, count in enumerate((2, 1, 0))]
    many = (
        "The given interval would create 5000 buckets, which is too many. Please increase the interval or reduce the "
        "time range to produce 1000 buckets or fewer."
    )
    await hold(
        ingest,
        [
            counts("day", *days), counts("day", *days, time_unit="hour"), counts("time", *days),
            counts("time", ("0", "2026-11-09T00:00:00+00:00", 3), time_unit="week"),
            counts("event", ("c.a", "c.a", 2), ("c.b", "c.b", 1)),
            counts("resource", ("one", "New", 2), ("two", "two", 1)),
            *(("POST", f"/events/count-by/{by}", {"filter": filter, "time_unit": "minute", "time_interval": 0.6}, 422,
               detail(many)) for by in ("time", "event")),
            ("POST", "/events/count-by/month", {"filter": filter}, 422, Invalid("enum", "path.countable")),
            ("POST", "/events/count-by/time", {}, 422, Invalid("missing", "filter")),
            ("POST", "/events/count-by/time", {"filter": {}, "time_interval": 0.001}, 422,
             Invalid("greater_than_equal")),
        ],
    )  # fmt: skip
    first = (await ingest.post("/events/count-by/time", {"filter": filter}))[0]
    assert (first["start_time"], first["end_time"]) == ("2026-11-10T00:00:00Z", "2026-11-10T23:59:59.999999Z")


async def test_automations(rooms: Rooms) -> None:
    def body(**more: Any) -> dict[str, Any]:
        return {"name": "a", "trigger": TRIGGER, "actions": [{"type": "do-nothing"}], **more}

    def makes(status: int, answer: Any, **more: Any) -> Fact:
        return Fact("POST", "/automations/", body(**more), status, answer)

    def acts(status: int, answer: Any, **action: Any) -> Fact:
        return makes(status, answer, actions=[action])

    def triggers(text: str, **trigger: Any) -> Fact:
        def told(body: Any) -> bool:
            return any(text in error["msg"] for error in body["exception_detail"])

        return makes(422, told, trigger=trigger)

    made = await rooms.post("/automations/", {**body(description="d", tags=["q"]), "owner_resource": "owner"}, 201)
    assert "owner_resource" not in made
    assert made["trigger"]["within"] == 0.0
    path, missing = f"/automations/{made['id']}", message("Automation not found")
    running = {"type": "event", "posture": "Reactive", "expect": ["prefect.flow-run.Running"]}
    inferred = [{"type": "run-deployment", "source": "inferred"}]
    loop = Invalid(
        "value_error", "", "Value error, Running an inferred deployment from a flow run state change event will"
    )
    sleeping = await rooms.post(
        "/automations/", body(name="loop", enabled=False, trigger=running, actions=inferred), 201
    )

    def holds(**expected: Any) -> Fact:
        return Fact("GET", path, None, 200, lambda b: {k: b[k] for k in expected} == expected)

    def found(filter: Any, *names: str) -> list[Fact]:
        return [
            Fact(
                "POST",
                "/automations/filter",
                {"automations": filter},
                200,
                lambda b: [a["name"] for a in b] == [*names],
            ),
            Fact("POST", "/automations/count", {"automations": filter}, 200, len(names)),
        ]

    await hold(
        rooms,
        [
            makes(422, Invalid("extra_forbidden", "zz"), zz=1),
            makes(422, Invalid("", "actions"), actions=None),
            triggers("`within` for Proactive triggers must be greater than or equal to 10 seconds",
                     type="event", posture="Proactive", within=5),
            triggers("require must be at least 1", type="compound", require=0, within=None, triggers=[TRIGGER]),
            triggers("require must be less than or equal to the number of triggers",
                     type="compound", require=2, within=None, triggers=[TRIGGER]),
            triggers("Field required", type="compound", require="any", triggers=[TRIGGER]),
            triggers("", type="metric", posture="Metric", metric={"name": "lateness"}),
            triggers("", type="event", posture="Reactive", within=None),
            makes(201, lambda b: b["trigger"]["within"] == 10.0, name="p", trigger={"type": "event",
             "posture": "Proactive"}),
            acts(201, lambda b: b["actions"][0]["type"] == "do-nothing"),
            acts(201, lambda b: b["actions"][0]["payload"] == '{\n  "a": 1\n}', type="call-webhook",
                 block_document_id=NOBODY, payload={"a": 1}),
            acts(422, Invalid(""), type="declare-incident"),
            acts(422, Invalid("", "", "deployment_id is required"), type="run-deployment"),
            acts(422, Invalid("", "", "deployment_id is not allowed"), type="run-deployment", source="inferred",
                 deployment_id=NOBODY),
            acts(422, Invalid("", "", "schedule_after must be non-negative"), type="run-deployment",
                 deployment_id=NOBODY, schedule_after=-1),
            acts(404, detail("Deployment not found."), type="run-deployment", deployment_id=NOBODY,
             job_variables={"a": 1}),
            acts(201, lambda b: True, type="run-deployment", deployment_id=NOBODY, job_variables={}),
            acts(422, lambda b: "'body' is not a valid template: " in b["exception_detail"][0]["msg"],
                 type="send-notification", block_document_id=NOBODY, body="{{ a"),
            makes(422, loop, trigger=running, actions=inferred),
            ("PATCH", f"/automations/{sleeping['id']}", {"enabled": True}, 422,
             lambda b: b["exception_detail"][0]["loc"] == []),
            *((method, f"/automations/{NOBODY}", given, 404, missing)
              for method, given in (("GET", None), ("PATCH", {}), ("DELETE", None), ("PUT", body()))),
            ("GET", "/automations/none", None, 404, detail("Not Found")),
            ("PATCH", path, {}, 204), ("PATCH", path, {"enabled": False}, 204), holds(enabled=False),
            ("PATCH", path, {"name": "z"}, 422, Invalid("extra_forbidden", "name")),
            ("PUT", path, {"name": "b", "trigger": TRIGGER, "actions": []}, 204),
            holds(name="b", enabled=False, description="d", tags=["q"], actions=[]),
            ("PUT", path, {"name": "b"}, 422, Invalid("missing", "trigger")),
            ("PUT", path, body(owner_resource="x"), 422, Invalid("extra_forbidden", "owner_resource")),
            *found({"name": {"any_": ["b", "loop"]}}, "b", "loop"), *found({"tags": {"all_": ["q"]}}, "b"),
            *found({"name": {"any_": ["b", "p"]}, "tags": {"is_null_": True}}, "p"), *found({"id": {"any_": []}}),
            *found({"created": {"before_": "2020-01-01"}}),
            ("POST", "/automations/filter", {"limit": 201}, 422,
             detail("Invalid limit: must be less than or equal to 200.")),
            ("POST", "/automations/filter", {"sort": "X"}, 422, Invalid("enum", "sort")),
            ("GET", "/automations/related-to/owner", None, 200, lambda b: [a["id"] for a in b] == [made["id"]]),
            ("GET", f"/automations/related-to/prefect.deployment.{NOBODY}", None, 200, lambda b: len(b) == 1),
            ("DELETE", f"/automations/owned-by/prefect.deployment.{NOBODY}", None, 202, lambda b: b is None),
              # not owned
            ("GET", f"/automations/related-to/prefect.deployment.{NOBODY}", None, 200, lambda b: len(b) == 1),
            ("DELETE", "/automations/owned-by/owner", None, 202, lambda b: b is None),
            ("GET", path, None, 404, missing), ("GET", "/automations/related-to/owner", None, 200, []),
        ],
    )  # fmt: skip
