"""Takes runs back from workers and runners that died, and ends what dead runs left behind.

Nobody is judged by silence that nobody listened to: it is counted from when an API process was last missing to when
one was last there (:mod:`sempre.server.heartbeats.presence`). Times are the database's. Every step moves a run only
from the very state it was seen in, so that any number of replicas may take it at once.
"""

from sempre.server.heartbeats.presence import listening
from sempre.server.scope import Scope
from sempre.server.services import claims, leftovers

__all__ = ["run"]

_FORGET_SESSIONS = "DELETE FROM worker_session WHERE last_heartbeat_time < now() - interval '1 day'"


async def run(scope: Scope) -> None:
    here = await listening(scope.db)
    if here is not None:
        await claims.take_back(scope, here)
        await claims.end_cancellations(scope, here)
        await claims.crash_unheard(scope, here)
        await claims.end_waiting_for_nobody(scope, here)
    await leftovers.end_all(scope)
    await scope.db.execute(_FORGET_SESSIONS)
