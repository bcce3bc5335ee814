"""What every resource's calls are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import UUID, uuid4

from pydantic import BaseModel

from sempre.client.bodies import encoded, listed, parsed, value_of
from sempre.client.connection import Connection
from sempre.client.errors import ApiRefused, ObjectNotFound, refuses_ids
from sempre.client.transport import Answer

__all__ = ["Calls", "new_key", "with_ids"]

M = TypeVar("M", bound=BaseModel)


def new_key() -> UUID:
    """An id that no other call has: what makes repeating this one harmless."""
    return uuid4()


def with_ids(body: Any) -> Any:
    """The body of one thing, or those of many, each with an id if it has none."""
    return [with_ids(each) for each in body] if isinstance(body, list) else {"id": str(new_key()), **body}


class Calls:
    """The ways to make a call."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def _request(
        self, method: str, path: str, body: Any = None, params: Mapping[str, Any] | None = None
    ) -> Answer:
        return await self._connection.request(method, path, None if body is None else encoded(body), params)

    async def _value(self, method: str, path: str, body: Any = None, params: Mapping[str, Any] | None = None) -> Any:
        answer = await self._request(method, path, body, params)
        return value_of(answer.content)

    async def _one(
        self, kind: type[M], method: str, path: str, body: Any = None, params: Mapping[str, Any] | None = None
    ) -> M:
        answer = await self._request(method, path, body, params)
        return parsed(kind, answer.content)

    async def _created(self, path: str, body: Any) -> bytes:
        """Create a thing, or a list of them, with ids of ours: by them a call whose answer was lost is known again."""
        try:
            return (await self._request("POST", path, with_ids(body))).content
        except ApiRefused as error:
            if not refuses_ids(error):
                raise
        return (await self._request("POST", path, body)).content

    async def _many(
        self, kind: type[M], method: str, path: str, body: Any = None, params: Mapping[str, Any] | None = None
    ) -> list[M]:
        answer = await self._request(method, path, body, params)
        return listed(kind, answer.content)

    async def _delete(self, path: str) -> None:
        try:
            await self._request("DELETE", path)
        except ObjectNotFound as error:
            # What an attempt whose answer was lost has deleted is deleted.
            if not error.repeated:
                raise
