"""Carrying out claimed actions: each ends in one commit with the events that tell of it, or is tried again."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from sempre.db.errors import DatabaseUnavailable
from sempre.db.pool import Record
from sempre.schemas.actions import Action
from sempre.server.actions import claims
from sempre.server.actions.invocation import ActionFailed, Invocation
from sempre.server.actions.outcomes import tell
from sempre.server.actions.perform import perform
from sempre.server.scope import Scope

__all__ = ["Runner"]

log = logging.getLogger("sempre.actions")

_ACTION: TypeAdapter[Action] = TypeAdapter(Action)
# Less than a claim lasts: what takes longer is cut before anybody else may begin.
_LONGEST_SECONDS = 45.0
# Between the attempts at an action that fails in a way which may pass.
_PAUSES = (1.0, 5.0, 20.0)
# Claims that ended with the death of their process. An action that kills must not kill for ever.
_MOST_CLAIMS = 20


@dataclass
class Runner:
    """Carries out actions in this process, those of one firing in their order."""

    scope: Scope
    owner: UUID
    at_once: int = 20

    async def run_due(self) -> int:
        """Claim what is due and carry it out. Returns the number of actions that were claimed."""
        rows = await claims.claim(self.scope.db, self.owner, self.at_once)
        groups = [list(group) for _, group in groupby(rows, key=lambda row: row["firing"]["id"])]
        tasks = [asyncio.create_task(self._in_order(group)) for group in groups]
        try:
            await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        return len(rows)

    async def _in_order(self, rows: Sequence[Record]) -> None:
        for done, row in enumerate(rows):
            try:
                await self._run(row)
            except asyncio.CancelledError:
                if rest := [later["id"] for later in rows[done + 1 :]]:
                    await asyncio.shield(claims.give_back(self.scope.db, self.owner, rest))
                raise

    async def _run(self, row: Record) -> None:
        try:
            invocation = _invocation(self.scope, row)
        except ValidationError as error:  # stored by a newer version, perhaps
            log.error("action %s is none that can be carried out here: %s", row["id"], error)
            pause = timedelta(seconds=_PAUSES[-1])
            await claims.retry(self.scope.db, row["id"], self.owner, row["attempts"], pause)
            return
        try:
            if invocation.attempts > _MOST_CLAIMS:
                raise ActionFailed(f"The action was begun {_MOST_CLAIMS} times and never ended.")
            async with asyncio.timeout(_LONGEST_SECONDS):
                await perform(invocation)
        except ActionFailed as failure:
            invocation.details.update(failure.details)
            await self._end(invocation, failure.reason)
        except DatabaseUnavailable:
            raise
        except Exception as error:
            await self._try_again(invocation, error)
        else:
            await self._end(invocation, None)

    async def _try_again(self, invocation: Invocation, error: Exception) -> None:
        if invocation.is_last:
            log.error("action %s of automation %s failed: %r", invocation.id, invocation.automation_id, error)
            await self._end(invocation, f"{type(error).__name__}: {error}"[:1000])
            return
        log.warning("action %s of automation %s is tried again: %r", invocation.id, invocation.automation_id, error)
        pause = timedelta(seconds=_PAUSES[min(invocation.attempts, len(_PAUSES)) - 1])
        await claims.retry(self.scope.db, invocation.id, self.owner, invocation.attempts, pause)

    async def _end(self, invocation: Invocation, reason: str | None) -> None:
        outcome: dict[str, Any] = invocation.details if reason is None else {"reason": reason, **invocation.details}
        async with self.scope.db.transaction() as tx:
            ours = await claims.finish(
                tx, invocation.id, self.owner, invocation.attempts, failed=reason is not None, outcome=outcome
            )
            if ours:
                await tell(tx, invocation, reason=reason)
        self.scope.doorbell.ring("events")


def _invocation(scope: Scope, row: Record) -> Invocation:
    automation, firing, told = row["automation"], row["firing"], row["told"]
    acting = {"id": automation["id"], "type": "AUTOMATION", "display_value": automation["name"]}
    return Invocation(
        id=row["id"],
        scope=replace(scope, workspace_id=row["workspace_id"], created_by=acting),
        action=_ACTION.validate_python(row["action"]),
        index=row["action_index"],
        attempts=row["attempts"],
        automation=automation,
        firing=firing,
        told=told,
        triggering_event=told if row["triggered_by"] == "automation" else firing["triggering_event"],
    )
