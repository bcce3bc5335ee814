"""Inputs of flow runs: values by key that others leave for a run."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic_core import from_json

from sempre.client import models
from sempre.client.bodies import body_of, path_part
from sempre.client.calls.base import Calls
from sempre.client.errors import ObjectAlreadyExists

__all__ = ["RunInputCalls"]


class RunInputCalls(Calls):
    async def create_flow_run_input(
        self, flow_run_id: UUID | str, key: str, value: str, sender: str | None = None
    ) -> None:
        """Leave a text, JSON as a rule, under a key. ObjectAlreadyExists if there is one."""
        try:
            await self._request(
                "POST", f"/flow_runs/{path_part(flow_run_id)}/input", body_of(key=key, value=value, sender=sender)
            )
        except ObjectAlreadyExists as error:
            if not error.repeated:
                raise

    async def read_flow_run_input(self, flow_run_id: UUID | str, key: str) -> str:
        """The text under a key. ObjectNotFound without one."""
        answer = await self._request("GET", f"/flow_runs/{path_part(flow_run_id)}/input/{path_part(key)}")
        try:
            value: Any = from_json(answer.content)
        except ValueError:
            value = None
        return value if isinstance(value, str) else answer.content.decode()

    async def filter_flow_run_input(
        self, flow_run_id: UUID | str, key_prefix: str, limit: int = 1, exclude_keys: set[str] | None = None
    ) -> list[models.FlowRunInput]:
        """Inputs whose key begins so, the oldest first."""
        body = {"prefix": key_prefix, "limit": limit, "exclude_keys": sorted(exclude_keys or ())}
        return await self._many(models.FlowRunInput, "POST", f"/flow_runs/{path_part(flow_run_id)}/input/filter", body)

    async def delete_flow_run_input(self, flow_run_id: UUID | str, key: str) -> None:
        await self._delete(f"/flow_runs/{path_part(flow_run_id)}/input/{path_part(key)}")
