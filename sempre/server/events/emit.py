"""Events the server itself makes, appended inside the transaction that makes the change."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sempre.db.pool import Executor
from sempre.server.events.statements import APPEND_ENCODED_EVENTS
from sempre.server.ids import new_id
from sempre.server.responses import dumps

__all__ = ["ServerEvent", "emit", "named", "resource"]


def resource(kind: str, id: object, name: str | None = None, **labels: str) -> dict[str, str]:
    """Labels of the object ``prefect.<kind>.<id>``."""
    made = {"prefect.resource.id": f"prefect.{kind}.{id}"}
    if name is not None:
        made["prefect.resource.name"] = name
    return {**made, **labels}


def named(role: str, kind: str, id: object, name: str | None = None, **labels: str) -> dict[str, str]:
    """A related resource in a role."""
    return {**resource(kind, id, name), "prefect.resource.role": role, **labels}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerEvent:
    """One event about a change that is being committed."""

    event: str
    resource: dict[str, str]
    related: list[dict[str, str]] = field(default_factory=list)
    payload: dict[str, Any] = field(default_factory=dict)
    id: UUID = field(default_factory=new_id)
    occurred: datetime = field(default_factory=lambda: datetime.now(UTC))
    follows: UUID | None = None


async def emit(transaction: Executor, workspace_id: UUID, *events: ServerEvent) -> None:
    """Append ``events`` in the caller's transaction. Ring the doorbell (``events``) after its commit."""
    if not events:
        return
    await transaction.execute(
        APPEND_ENCODED_EVENTS.sql,
        *APPEND_ENCODED_EVENTS.bind(
            workspace_ids=[workspace_id] * len(events),
            ids=[e.id for e in events],
            occurred=[e.occurred for e in events],
            events=[e.event for e in events],
            resources=[dumps(e.resource).decode() for e in events],
            related=[dumps(e.related).decode() for e in events],
            payloads=[dumps(e.payload).decode() for e in events],
            follows=[e.follows for e in events],
        ),
    )
