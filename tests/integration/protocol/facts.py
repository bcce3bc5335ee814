"""Single facts of the protocol, as rows of tables: a request, its status, and what its body must be."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tests.support.rooms import Rooms

INTEGRITY = {
    "detail": "Data integrity conflict. This usually means a unique or foreign key constraint was violated. "
    "See server logs for details."
}
NOBODY = "00000000-0000-4000-8000-000000000000"
ANYTHING: Any = object()


def detail(text: str) -> dict[str, str]:
    return {"detail": text}


def message(text: str) -> dict[str, str]:
    return {"exception_message": text}


@dataclass(frozen=True)
class Invalid:
    """The body of a 422 from validation: the first error's type and place, and what its message contains."""

    type: str = ""
    place: str = ""
    text: str = ""

    def __call__(self, body: Any) -> bool:
        first = body["exception_detail"][0]
        place = ".".join(map(str, first["loc"]))
        right = body["exception_message"] == "Invalid request received." and "request_body" in body
        return right and self.type in first["type"] and self.place in place and self.text in first["msg"]


@dataclass(frozen=True)
class Fact:
    """``answer``: the exact body, or a predicate on it."""

    method: str
    path: str
    body: Any
    status: int
    answer: Any = ANYTHING

    def broken(self, status: int, body: Any) -> str | None:
        if status != self.status:
            return f"status {status}, not {self.status}: {body}"
        if self.answer is ANYTHING:
            return None
        predicate: Callable[[Any], object] | None = self.answer if callable(self.answer) else None
        right = predicate(body) if predicate is not None else body == self.answer
        return None if right else f"body {body}, not {self.answer}"


async def hold(rooms: Rooms, facts: Iterable[Fact | tuple[Any, ...]]) -> None:
    """Send every request in order; all that is wrong is reported together."""
    wrong = []
    for given in facts:
        fact = given if isinstance(given, Fact) else Fact(*given)
        kwargs: dict[str, Any] = {} if fact.body is None else {"json": fact.body}
        answer = await rooms.http.request(fact.method, f"/api{fact.path}", **kwargs)
        problem = fact.broken(answer.status_code, answer.json() if answer.content else None)
        if problem is not None:
            wrong.append(f"{fact.method} {fact.path} {fact.body}: {problem}"[:1000])
    assert not wrong, "\n".join(wrong)
