"""Runs as a worker takes them, and what the API knows of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

from sempre.client import Client
from tests.support import scopes


async def claimed_run(client: Client) -> UUID:
    """A run that a worker has claimed."""
    flow_id = await client.create_flow_from_name(f"flow-{uuid4().hex[:8]}")
    run = await client.create_flow_run(flow_id, state={"type": "SCHEDULED"})
    claim = {"type": "PENDING", "state_details": {"transition_id": str(uuid4())}}
    assert (await client.set_flow_run_state(run.id, claim)).status == "ACCEPT"
    return run.id


async def until(look: Callable[[], Any], good: Callable[[Any], object]) -> Any:
    """What `look`, a plain or an async function, gives as soon as it is good."""

    async def found() -> tuple[Any] | None:
        seen = look()
        value = await seen if inspect.isawaitable(seen) else seen
        return (value,) if good(value) else None

    (value,) = await scopes.until(found, "what is looked at is as it should be")
    return value


async def states(client: Client, run_id: UUID) -> list[tuple[str | None, str | None]]:
    return [(state.name, state.message) for state in await client.read_flow_run_states(run_id)]


async def lines(client: Client, run_id: UUID) -> list[str]:
    return [line.message for line in await client.read_logs({"flow_run_id": {"any_": [str(run_id)]}})]


async def events(client: Client, resource_id: str) -> list[str]:
    """The names of the events about a resource, in the order in which they occurred."""
    page = await client.read_events({"any_resource": {"id": [resource_id]}, "order": "ASC"})
    return [event.event for event in page.events]
