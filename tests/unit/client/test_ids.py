"""What is created carries ids of the client, if the API knows such."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from sempre.client.calls.base import Calls
from sempre.client.errors import ApiRefused, refusal
from sempre.client.transport import Answer


def refused(status: int, *items: dict[str, Any]) -> ApiRefused:
    detail = {"exception_message": "Invalid request received.", "exception_detail": list(items)}
    return refusal("POST", "/logs/", status, detail, repeated=False, retry_after=None)


class FakeApi(Calls):
    def __init__(self, error: ApiRefused | None) -> None:
        super().__init__(SimpleNamespace())  # type: ignore[arg-type]
        self.error = error
        self.bodies: list[Any] = []

    async def _request(self, method: str, path: str, body: Any = None, params: Any = None) -> Answer:
        self.bodies.append(body)
        if self.error is not None and len(self.bodies) == 1:
            raise self.error
        return Answer(201, b"null", {}, False)


async def test_each_thing_gets_an_id_unless_it_has_one() -> None:
    api = FakeApi(None)
    await api._created("/logs/", [{"n": 1}, {"n": 2, "id": "mine"}])
    [[first, second]] = api.bodies
    assert first["id"] != second["id"] == "mine"


async def test_an_older_api_gets_none() -> None:
    api = FakeApi(refused(422, {"type": "extra_forbidden", "loc": ["body", 0, "id"], "msg": ""}))
    await api._created("/logs/", [{"n": 1}])
    assert api.bodies[1] == [{"n": 1}]


@pytest.mark.parametrize(
    "error",
    [
        refused(422, {"type": "extra_forbidden", "loc": ["body", "name"]}),
        refused(422, {"type": "missing", "loc": ["body", "id"]}),
        refused(409, {"type": "extra_forbidden", "loc": ["body", "id"]}),
        refused(422),
    ],
)
async def test_any_other_refusal_is_one(error: ApiRefused) -> None:
    with pytest.raises(ApiRefused):
        await FakeApi(error)._created("/artifacts/", {})
