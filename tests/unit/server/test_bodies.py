"""Absent values in bodies of several parameters, over the routes as the app adds them."""

from __future__ import annotations

from typing import Annotated, Any

import httpx
import pytest
from fastapi import Body, FastAPI

from sempre.server.routing import Room, add_rooms

room = Room(prefix="/room")


@room.post("/page")
async def page(limit: Annotated[int, Body(ge=0)] = 5, sort: Annotated[str, Body()] = "ID") -> list[Any]:
    return [limit, sort]


@room.post("/named")
async def named(name: Annotated[str, Body(embed=True)]) -> str:
    return name


async def post(path: str, body: str) -> httpx.Response:
    app = FastAPI()
    add_rooms(app, "/api", [room])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        return await client.post(f"/api/room/{path}", content=body, headers={"content-type": "application/json"})


@pytest.mark.parametrize("body", ["", "null", "{}", '{"limit": null, "sort": null}', '{"other": null}'])
async def test_null_is_no_value(body: str) -> None:
    response = await post("page", body)
    assert (response.status_code, response.json()) == (200, [5, "ID"])


async def test_values_beside_a_null_count() -> None:
    response = await post("page", '{"limit": 0, "sort": null}')
    assert (response.status_code, response.json()) == (200, [0, "ID"])


@pytest.mark.parametrize(
    ("path", "body"), [("page", '{"limit": -1}'), ("page", "[1]"), ("named", '{"name": null}'), ("named", "null")]
)
async def test_what_is_wrong_stays_wrong(path: str, body: str) -> None:
    assert (await post(path, body)).status_code == 422
