"""Pages and counts over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.support.events import Json, Live, an_event

START = datetime(2026, 11, 10, 12, 0, 0, tzinfo=UTC)


async def seed(live: Live, count: int, step: timedelta = timedelta(seconds=10)) -> list[Json]:
    events = [
        an_event(f"kind.{n % 3}", f"thing.{n % 2}", occurred=(START + n * step).isoformat()) for n in range(count)
    ]
    assert (await live.post("/events", events)).status_code == 204
    return events


async def walk(first: Json) -> list[Json]:
    pages = [first]
    async with httpx.AsyncClient() as client:
        while pages[-1]["next_page"]:
            answer = await client.get(pages[-1]["next_page"])
            assert answer.status_code == 200
            pages.append(answer.json())
    return pages


@pytest.mark.parametrize("order", ["ASC", "DESC"])
async def test_pages_have_no_gap_and_no_repeat(live: Live, order: str) -> None:
    events = await seed(live, 120, timedelta(0))  # all at one moment: the id decides
    pages = await walk((await live.post("/events/filter", {"filter": {"order": order}})).json())
    assert [len(page["events"]) for page in pages] == [50, 50, 20]
    assert {page["total"] for page in pages} == {120}
    ids = [event["id"] for page in pages for event in page["events"]]
    assert ids == sorted((event["id"] for event in events), reverse=order == "DESC")


async def test_what_comes_in_meanwhile_moves_no_page(live: Live) -> None:
    await seed(live, 60)
    first = (await live.post("/events/filter", {"limit": 50})).json()
    await live.post("/events", [an_event()])
    [_, second] = await walk(first)
    assert (len(second["events"]), second["total"]) == (10, 60)


async def test_limits(live: Live) -> None:
    await seed(live, 3)
    assert len((await live.post("/events/filter", {"limit": None})).json()["events"]) == 3
    none = (await live.post("/events/filter", {"limit": 0})).json()
    assert (none["events"], none["total"], none["next_page"]) == ([], 3, None)
    assert (await live.post("/events/filter", {"limit": 201})).status_code == 422
    assert (await live.post("/events/filter", {"filter": {"unknown": 1}})).status_code == 422
    async with httpx.AsyncClient() as client:
        assert (await client.post(f"{live.http}/events/filter")).json()["total"] == 3


@pytest.mark.parametrize(("query", "status"), [("", 422), ("?page-token=", 403), ("?page-token=x!", 403),
                                               ("?page-token=e30=", 403), ("?page-token=W10=", 403)])  # fmt: skip
async def test_a_bad_token_is_forbidden(live: Live, query: str, status: int) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{live.http}/events/filter/next{query}")
    assert answer.status_code == status
    if status == 403:
        assert answer.json() == {"detail": "Forbidden"}


def window(seconds: float) -> Json:
    return {"occurred": {"since": START.isoformat(), "until": (START + timedelta(seconds=seconds)).isoformat()}}


async def test_count_by_event_and_by_resource(live: Live) -> None:
    events = await seed(live, 7)
    await live.post("/events", [
        an_event("kind.9", {"prefect.resource.id": "thing.0", "prefect.resource.name": "late name"},
                 occurred=(START + timedelta(seconds=100)).isoformat()),
    ])  # fmt: skip
    by_event = (await live.post("/events/count-by/event", {"filter": window(1000), "time_unit": "hour"})).json()
    assert [(c["value"], c["label"], c["count"]) for c in by_event] == [
        ("kind.0", "kind.0", 3), ("kind.1", "kind.1", 2), ("kind.2", "kind.2", 2), ("kind.9", "kind.9", 1),
    ]  # fmt: skip
    assert by_event[0]["start_time"] == "2026-11-10T12:00:00Z"
    assert datetime.fromisoformat(by_event[0]["end_time"]) == datetime.fromisoformat(events[6]["occurred"])
    by_resource = (await live.post("/events/count-by/resource", {"filter": window(1000), "time_unit": "hour"})).json()
    assert [(c["value"], c["label"], c["count"]) for c in by_resource] == [
        ("thing.0", "late name", 5), ("thing.1", "thing.1", 3),
    ]  # fmt: skip


async def test_count_by_time_is_aligned_and_filled(live: Live) -> None:
    await seed(live, 13, timedelta(minutes=1))
    body = {"filter": window(20 * 60), "time_unit": "minute", "time_interval": 5}
    spans = (await live.post("/events/count-by/time", body)).json()
    assert isinstance(spans, list), spans
    assert [(s["value"], s["count"]) for s in spans] == [("0", 5), ("1", 5), ("2", 3), ("3", 0), ("4", 0)]
    assert spans[1] == {
        "value": "1", "label": "2026-11-10T12:05:00+00:00", "count": 5,
        "start_time": "2026-11-10T12:05:00Z", "end_time": "2026-11-10T12:09:59.999999Z",
    }  # fmt: skip
    days = (await live.post("/events/count-by/day", {"filter": window(60), "time_unit": "second"})).json()
    assert [(d["label"], d["count"]) for d in days] == [("2026-11-10T00:00:00+00:00", 2)]


@pytest.mark.parametrize("countable", ["time", "event"])
async def test_too_many_spans_are_refused(live: Live, countable: str) -> None:
    body = {"filter": window(1200), "time_unit": "second", "time_interval": 0.01}
    answer = await live.post(f"/events/count-by/{countable}", body)
    assert answer.status_code == 422
    assert answer.json() == {
        "detail": "The given interval would create 120000 buckets, which is too many. Please increase the interval or "
        "reduce the time range to produce 1000 buckets or fewer."
    }
