"""Lists of any length: page by page, as large as the server lets a page be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from sempre.cli.rest import Api, Json

Limit = Annotated[int, typer.Option("--limit", "-l", min=1, help="Show at most so many.")]

# The most that a server with default settings gives at once; without a limit it gives what it is set to.
_PAGE = 200


def read_list(api: Api, path: str, body: Json | None = None, limit: int | None = None) -> list[Json]:
    """All documents of a list, or the first `limit` of them."""
    return list(pages(api, path, body, limit))


def pages(api: Api, path: str, body: Json | None = None, limit: int | None = None) -> Iterator[Json]:
    """The documents of a list one by one; the next page is asked for when the last one is used up."""
    count = 0
    page_size: int | None = None
    seen: set[str] = set()
    while limit is None or count < limit:
        asked: dict[str, Any] = {**(body or {}), "offset": count}
        expected = page_size
        if limit is not None and limit - count < (page_size or _PAGE):
            asked["limit"] = expected = limit - count
        page = api.post(path, asked)
        # What is inserted while we read pushes documents onto the next page, where they would come again.
        yield from (item for item in page if item["id"] not in seen)
        seen |= {item["id"] for item in page}
        count += len(page)
        page_size = page_size or len(page)
        if not page or len(page) < (expected or page_size):
            return


def any_of(*values: str) -> Json:
    """The filter member that one of these values satisfies."""
    return {"any_": list(values)}


def names_by_id(api: Api, path: str, member: str, ids: list[str | None]) -> dict[str, str]:
    """What the resources with these ids are called. Ids that are not there (any more) are left out."""
    wanted = sorted({each for each in ids if each})
    found: dict[str, str] = {}
    for start in range(0, len(wanted), _PAGE):
        body = {member: {"id": any_of(*wanted[start : start + _PAGE])}}
        found |= {item["id"]: item["name"] for item in pages(api, path, body)}
    return found
