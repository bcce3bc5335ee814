"""Gates in the database: the server is caught in the middle of one chosen statement, so that it can be killed there.

A trigger asks for an advisory lock that the gate holds. The statement waits; the test kills the server; then either
the statement goes on and commits with nobody left to hear of it, or it is ended and undone. Nothing is left to timing.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import asyncpg

from tests.support.database import Database
from tests.support.wait import eventually

_KEY = 7_310_001

# In the order in which a flow comes by. Moment -> table, kind of change, condition on the row.
MOMENTS = {
    "set running": ("flow_run", "UPDATE", "NEW.state_type = 'RUNNING'"),
    "events of tasks": ("event", "INSERT", "NEW.event LIKE 'prefect.task-run.%'"),
    "logs of the run": ("log", "INSERT", "NEW.flow_run_id IS NOT NULL"),
    "task runs recorded": ("task_run", "INSERT", "true"),
    "set completed": ("flow_run", "UPDATE", "NEW.state_type = 'COMPLETED'"),
}

_INSTALL = """
CREATE FUNCTION chaos_gate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared({key});
    RETURN NEW;
END $$;
CREATE TRIGGER chaos_gate BEFORE {change} ON {table} FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION chaos_gate();
"""
_REMOVE = "DROP TRIGGER IF EXISTS chaos_gate ON {table}; DROP FUNCTION IF EXISTS chaos_gate()"
_WAITING = f"SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = {_KEY} AND NOT granted"


class Gate:
    """Closed on entry. `caught` tells whether somebody stands before it; `open` lets through or turns away."""

    def __init__(self, database: Database, moment: str) -> None:
        self._database = database
        self._table, self._change, self._condition = MOMENTS[moment]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._holder: Any = None

    def __enter__(self) -> Gate:
        self._thread.start()
        self._call(self._close())
        return self

    def __exit__(self, *_: object) -> None:
        self.open(commit=True)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def caught(self) -> bool:
        return bool(self._database.fetch(_WAITING))

    def open(self, *, commit: bool) -> None:
        """Let whoever waits go on, or end its session; afterwards the way is free for everybody."""
        if self._holder is None:
            return
        if not commit:
            self._call(self._holder.execute(f"SELECT pg_terminate_backend(pid) FROM ({_WAITING}) waiting"))
            eventually(lambda: not self.caught(), "the statement was undone", 10)
        self._call(self._holder.execute(f"SELECT pg_advisory_unlock({_KEY})"))
        # Needs the table for itself: waits for the statement to end.
        self._call(self._holder.execute(_REMOVE.format(table=self._table)))
        self._call(self._holder.close())
        self._holder = None

    async def _close(self) -> None:
        self._holder = await asyncpg.connect(self._database.url)
        await self._holder.execute(f"SELECT pg_advisory_lock({_KEY})")
        await self._holder.execute(
            _INSTALL.format(key=_KEY, change=self._change, table=self._table, condition=self._condition)
        )

    def _call(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)
