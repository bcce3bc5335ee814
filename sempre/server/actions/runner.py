"""Carrying out claimed actions: each ends in one commit with the events that tell of it, or is tried again.

A process has two sets of slots, one for actions that reach the outside and one for all others, so that services which
are slow to answer keep only each other waiting. A slot that becomes free is filled at once.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from sempre.db.errors import DatabaseUnavailable
from sempre.db.pool import Record
from sempre.db.waiting import wait_at_most
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
# An action begins when the one before it of the same firing has ended, or has taken this long.
_PATIENCE_SECONDS = 5.0
# For actions that were cut to be let go of.
_CUT_SECONDS = 3.0
# Between two attempts to write down how an action ended, while the database is away.
_AWAY_SECONDS = 0.5


class Runner:
    """Carries out actions in this process, those of one firing in their order as far as none is slow.

    ``at_once`` is how many of each kind run at the same time: those that reach the outside, and all others.
    """

    def __init__(self, scope: Scope, owner: UUID, at_once: int = 20) -> None:
        self.scope = scope
        self.owner = owner
        self.at_once = at_once
        self._running: dict[asyncio.Task[None], bool] = {}  # whether it reaches the outside
        self._wake = asyncio.Event()

    async def run_for(self, seconds: float) -> None:
        """Begin what is due for ``seconds``: all there is, then whenever the doorbell rings or something falls due.

        What is still running then goes on. Raises DatabaseUnavailable.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        with self.scope.doorbell.listening("actions") as self._wake:
            while (left := deadline - loop.time()) > 0:
                self._wake.clear()
                if await self._fill():
                    continue
                inside, outside = self._free()
                due = await claims.seconds_until_due(self.scope.db, inside=inside > 0, outside=outside > 0)
                await wait_at_most(left if due is None else min(left, due), self._wake)

    async def run_due(self) -> int:
        """Carry out what is due and wait for its end. Returns the number of actions that were claimed."""
        claimed = await self._fill()
        while self._running:
            await asyncio.wait([*self._running])
        return claimed

    async def stop(self, patience: float) -> None:
        """Let what is running end within ``patience`` seconds; cut the rest and let go of it. What cannot be let go of,
        because nothing answers, is somebody else's when its claim runs out."""
        if self._running:
            await asyncio.wait([*self._running], timeout=patience)
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait([*self._running], timeout=_CUT_SECONDS)

    def _free(self) -> tuple[int, int]:
        outside = sum(self._running.values())
        return self.at_once - (len(self._running) - outside), self.at_once - outside

    async def _fill(self) -> int:
        """Claim as much as there are free slots, and begin with it."""
        inside, outside = self._free()
        rows = await claims.claim(self.scope.db, self.owner, inside=inside, outside=outside)
        before: dict[UUID, asyncio.Task[None]] = {}
        for row in rows:
            firing = UUID(row["firing"]["id"])
            task = asyncio.create_task(self._in_turn(row, before.get(firing)))
            before[firing] = task
            self._running[task] = row["outside"]
            task.add_done_callback(self._ended)
        return len(rows)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            # Its claim runs out, and somebody begins anew.
            log.error("an action was left unfinished", exc_info=error)

    async def _in_turn(self, row: Record, before: asyncio.Task[None] | None) -> None:
        begun = False
        try:
            if before is not None:
                await asyncio.wait([before], timeout=_PATIENCE_SECONDS)
                if not await claims.renew(self.scope.db, row["id"], self.owner, row["attempts"]):
                    return
            begun = True
            await self._run(row)
        except asyncio.CancelledError:
            with contextlib.suppress(DatabaseUnavailable):
                await asyncio.shield(self._let_go(row, begun=begun))
            raise
        except DatabaseUnavailable as away:
            log.warning("action %s waits for the database: %s", row["id"], away)
            await self._insist(lambda: self._let_go(row, begun=begun))

    async def _let_go(self, row: Record, *, begun: bool) -> None:
        """What was begun may have had its effect: that it was is not forgotten."""
        if begun:
            await claims.retry(self.scope.db, row["id"], self.owner, row["attempts"], timedelta())
        else:
            await claims.give_back(self.scope.db, row["id"], self.owner, row["attempts"])
        self.scope.doorbell.ring("actions")

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
        await self._insist(lambda: claims.retry(self.scope.db, invocation.id, self.owner, invocation.attempts, pause))

    async def _end(self, invocation: Invocation, reason: str | None) -> None:
        outcome: dict[str, Any] = invocation.details if reason is None else {"reason": reason, **invocation.details}

        async def write() -> None:
            async with self.scope.db.transaction() as tx:
                ours = await claims.finish(
                    tx, invocation.id, self.owner, invocation.attempts, failed=reason is not None, outcome=outcome
                )
                if ours:
                    await tell(tx, invocation, reason=reason)

        await self._insist(write)
        self.scope.doorbell.ring("events")

    async def _insist(self, write: Callable[[], Awaitable[None]]) -> None:
        """Write as soon as the database is there. Once the claim has run out the action is somebody else's."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(claims.CLAIM_SECONDS):
                while True:
                    try:
                        await write()
                        return
                    except DatabaseUnavailable:
                        await asyncio.sleep(_AWAY_SECONDS)


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
