"""What flow-run and task-run transitions share: the loop of read, decide, write-if-unchanged, and its outcome."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from sempre.core.states import State
from sempre.core.transitions.model import Inputs, SlotTake, Status
from sempre.db.errors import DatabaseUnavailable
from sempre.db.pool import Executor
from sempre.db.statement import Statement
from sempre.server import states
from sempre.server.ids import new_id

__all__ = [
    "MAX_ATTEMPTS",
    "Outcome",
    "attempt",
    "gave_up",
    "inputs_at",
    "lost_race",
    "result_parameters",
    "slot_parameters",
]

# A lost race means somebody else's transition succeeded, so a handful of tries is plenty for any real contention on
# one run; slots of a busy limit may be lost a few times in a row.
MAX_ATTEMPTS = 25


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to a proposed state, in the protocol's terms. ``written``: this call persisted ``state``."""

    status: Status
    state: State | None
    reason: str | None = None
    delay_seconds: int | None = None
    written: bool = False
    details_type: str | None = None

    def to_wire(self) -> dict[str, Any]:
        details: dict[str, Any] = {"type": self.details_type or f"{self.status.value.lower()}_details"}
        if self.status is Status.WAIT:
            details["delay_seconds"] = self.delay_seconds
        if self.status is not Status.ACCEPT:
            details["reason"] = self.reason
        return {"state": states.to_wire(self.state), "status": self.status, "details": details}


def inputs_at(now: datetime) -> Inputs:
    """Fresh ids and one random draw for a decision made at database time ``now``."""
    return Inputs(
        now=now,
        state_id=new_id(),
        mirror_state_id=new_id(),
        lease_id=new_id(),
        draw=random.random(),  # noqa: S311 (jitter)
    )


def slot_parameters(take: SlotTake | None, holder_type: str) -> dict[str, Any]:
    if take is None:
        return {}
    return {
        "limit_ids": list(take.limit_ids),
        "lease_id": take.lease_id,
        "slot_ttl": take.ttl_seconds,
        "holder_type": holder_type,
    }


def result_parameters(result: states.Result) -> dict[str, Any]:
    """Parameters of the artifact that keeps a persisted result."""
    return {
        "artifact_id": new_id(),
        "artifact_key": result.key,
        "artifact_type": result.type,
        "artifact_description": result.description,
    }


async def attempt(db: Executor, statement: Statement, parameters: Mapping[str, Any]) -> bool:
    """Run a guarded write. ``False``: what it was decided on has changed (the version moved, or a slot was lost)."""
    try:
        return await db.fetchrow(statement.sql, *statement.bind(**parameters)) is not None
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name == "concurrency_slot_one_per_run":
            return False  # the run's own slot, which had expired, has just been renewed
        raise
    except asyncpg.PostgresError as error:
        if error.sqlstate == "SP001":
            return False
        raise


async def lost_race(attempts: int) -> None:
    """Between two attempts: at once at first, then after ever longer random pauses, so that crowds thin out."""
    if attempts > 1:
        await asyncio.sleep(random.random() * 0.002 * attempts)  # noqa: S311 (spreading, not secrecy)


def gave_up(kind: str, id: object) -> DatabaseUnavailable:
    return DatabaseUnavailable(f"{kind} {id} kept changing for {MAX_ATTEMPTS} attempts")
