"""Carries out the actions that automations owe. Replicas share them: each is claimed by one."""

import asyncio
import contextlib

from sempre.server.actions import claims
from sempre.server.actions.runner import Runner
from sempre.server.ids import new_id
from sempre.server.scope import Scope

__all__ = ["run"]

# This process, as far as claims are concerned.
_OWNER = new_id()


async def run(scope: Scope) -> None:
    """One round of ``loop_seconds``: all that is due, then whenever the doorbell rings or something falls due."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + scope.settings.services.triggers.loop_seconds
    runner = Runner(scope, _OWNER)
    with scope.doorbell.listening("actions") as news:
        while (left := deadline - loop.time()) > 0:
            news.clear()
            if await runner.run_due():
                continue
            due = await claims.seconds_until_due(scope.db)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), left if due is None else min(left, due))
