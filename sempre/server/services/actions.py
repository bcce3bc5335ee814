"""Carries out the actions that automations owe. Replicas share them: each is claimed by one."""

from weakref import WeakKeyDictionary

from sempre.db.pool import Database
from sempre.server.actions.runner import Runner
from sempre.server.ids import new_id
from sempre.server.scope import Scope

__all__ = ["run", "stop"]

# What is running goes on from round to round, for as long as the pool lives.
_runners: WeakKeyDictionary[Database, Runner] = WeakKeyDictionary()


async def run(scope: Scope) -> None:
    """One round of ``loop_seconds``: all that is due, then whenever the doorbell rings or something falls due."""
    runner = _runners.get(scope.db)
    if runner is None:
        runner = _runners[scope.db] = Runner(scope, new_id())
    await runner.run_for(scope.settings.services.triggers.loop_seconds)


async def stop(scope: Scope, seconds: float) -> None:
    """Let what is running end within ``seconds``; let go of the rest."""
    runner = _runners.pop(scope.db, None)
    if runner is not None:
        await runner.stop(seconds)
