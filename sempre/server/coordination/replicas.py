"""Processes that run services tell that they are there, for whoever looks."""

import asyncio
import contextlib
import os
import random
import socket
from collections.abc import Callable, Mapping

from sempre.db.errors import DatabaseUnavailable
from sempre.db.pool import Executor
from sempre.server.ids import PROCESS

__all__ = ["HERE_SECONDS", "Replica"]

_TELL_SECONDS = 5.0
HERE_SECONDS = 4 * _TELL_SECONDS  # unseen for so long, a process is gone

_TELL = """
WITH gone AS (
    DELETE FROM replica WHERE id <> $1 AND seen < now() - interval '1 h'
)
INSERT INTO replica (id, host, pid, ages) VALUES ($1, $2, $3, $4)
ON CONFLICT (id) DO UPDATE SET seen = now(), ages = EXCLUDED.ages
"""


class Replica:
    """This process. ``ages`` gives the seconds since each of its services last completed a round."""

    def __init__(self, db: Executor, ages: Callable[[], Mapping[str, float]]) -> None:
        self._db = db
        self._ages = ages

    async def run(self) -> None:
        """Tell it again and again, for ever."""
        while True:
            with contextlib.suppress(DatabaseUnavailable):
                await self.tell()
            await asyncio.sleep(_TELL_SECONDS * random.uniform(0.9, 1.1))  # noqa: S311

    async def tell(self) -> None:
        await self._db.execute(_TELL, PROCESS, socket.gethostname(), os.getpid(), self._ages())

    async def leave(self) -> None:
        await self._db.execute("DELETE FROM replica WHERE id = $1", PROCESS)
