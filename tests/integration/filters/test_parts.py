"""Orders, and parts of lists: every sort of every list, walks by offset and by page."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from tests.integration.filters.conftest import Asking
from tests.integration.filters.oracle import Json
from tests.integration.filters.questions import LISTINGS, Listing
from tests.integration.filters.seed import Row

pytestmark = pytest.mark.asyncio(loop_scope="module")

each_listing = pytest.mark.parametrize("listing", LISTINGS, ids=lambda listing: listing.path)
LIMIT = 200

# What each sort looks at, where it is not the column of its name.
KEYS: dict[str, Callable[[Row], Any]] = {
    "START_TIME": lambda row: row["start_time"] if row["start_time"] is not None else row["expected_start_time"],
    "BLOCK_TYPE_AND_NAME": lambda row: (row["block_type"]["name"], row["name"]),
}


def ordered(rows: Iterable[Row], sort: str) -> list[Row]:
    """As the protocol says: NULL after everything else, the other way round where it descends; ties by id."""
    name, _, direction = sort.rpartition("_")

    def place(row: Row) -> Any:
        value = KEYS[name](row) if name in KEYS else row[name.lower()]
        return (value is None, () if value is None else value, row["seq"] if "seq" in row else row["id"])

    return sorted(rows, key=place, reverse=direction == "DESC")


def default_order(listing: Listing) -> str:
    if not listing.sorts:
        assert listing.order
        return listing.order
    return str(listing.body.model_fields["sort"].default.value)


async def rows_of(asking: Asking, listing: Listing) -> list[Row]:
    ids = set(await asking.ids(listing, {}))
    types = {row["id"]: row for row in asking.world["block_type"]}
    return [
        {**row, "block_type": types.get(row.get("block_type_id"))}
        for row in asking.world[listing.table]
        if row["id"] in ids
    ]


@each_listing
async def test_every_sort(asking: Asking, listing: Listing) -> None:
    rows = await rows_of(asking, listing)
    assert len(rows) > 2
    assert await asking.ids(listing, {}) == [row["id"] for row in ordered(rows, default_order(listing))]
    for sort in listing.sorts:
        found = await asking.ids(listing, {"sort": sort})
        assert found == [row["id"] for row in ordered(rows, sort)], sort
    assert {default_order(listing)} <= set(listing.sorts or [default_order(listing)])


@each_listing
async def test_walks_by_offset(asking: Asking, listing: Listing) -> None:
    """Pieces of any size make up the whole, each row once, whatever the order."""
    for sort in (*listing.sorts, None):
        body: Json = {} if sort is None else {"sort": sort}
        whole = await asking.ids(listing, body)
        for size in (1, 3, len(whole)):
            walked: list[str] = []
            while piece := await asking.ids(listing, {**body, "limit": size, "offset": len(walked)}):
                assert len(piece) <= size
                walked += piece
            assert walked == whole, (sort, size)
    assert await asking.ids(listing, {"limit": 0}) == []
    assert await asking.ids(listing, {"offset": 10_000}) == []


@each_listing
async def test_bounds(asking: Asking, listing: Listing) -> None:
    path = f"{listing.path}/filter"
    too_much = await asking.rooms.post(path, {"limit": LIMIT + 1}, 422)
    assert too_much == {"detail": f"Invalid limit: must be less than or equal to {LIMIT}."}
    below = await asking.rooms.post(path, {"limit": -1}, 422)
    assert below == {"detail": "Invalid limit: must be greater than or equal to 0."}
    wrong: list[tuple[dict[str, Any], list[str]]] = [
        ({"offset": -1}, ["body", "offset"]),
        ({"limit": "x"}, ["body", "limit"]),
    ]
    for key in listing.filters:
        wrong.append(({key: {"no_such_member": 1}}, ["body", key, "no_such_member"]))  # noqa: PERF401
    for body, place in wrong:
        answer = await asking.rooms.post(path, body, 422)
        assert [item["loc"] for item in answer["exception_detail"]] == [place]
    whole = await asking.ids(listing, {"limit": LIMIT})
    assert await asking.ids(listing, {}) == whole
    headers = {"content-type": "application/json"}
    for raw in (b"", b"null", b" null "):
        answer = await asking.rooms.http.post(f"/api{path}", content=raw, headers=headers)
        assert [row["id"] for row in answer.json()] == whole, raw
    answer = await asking.rooms.http.post(f"/api{path}", content=b"[]", headers=headers)
    assert [item["loc"] for item in answer.json()["exception_detail"]] == [["body"]]


PAGINATED = [listing for listing in LISTINGS if listing.paginates]


@pytest.mark.parametrize("listing", PAGINATED, ids=lambda listing: listing.path)
async def test_walks_by_page(asking: Asking, listing: Listing) -> None:
    path = f"{listing.path}/paginate"
    assert listing.paginates is not None
    assert set(listing.paginates.model_fields) - {"page"} == set(listing.body.model_fields) - {"offset"}
    for sort in listing.sorts:
        whole = await asking.ids(listing, {"sort": sort})
        for size in (1, 4, len(whole), LIMIT):
            walked: list[str] = []
            pages = -(-len(whole) // size)
            for number in range(1, pages + 2):
                page = await asking.rooms.post(path, {"sort": sort, "limit": size, "page": number})
                told = {"count": len(whole), "limit": size, "pages": pages, "page": number}
                assert {**page, "results": None} == {**told, "results": None}
                walked += [row["id"] for row in page["results"]]
            assert walked == whole, (sort, size)
    assert {**await asking.rooms.post(path, {"limit": 0}), "count": 0} == {
        "results": [], "count": 0, "limit": 0, "pages": 0, "page": 1,
    }  # fmt: skip
    filtered = {listing.key: {"id": {"any_": whole[:3]}}}
    assert (await asking.rooms.post(path, filtered))["count"] == 3
    await asking.rooms.post(path, {"page": 0}, 422)
