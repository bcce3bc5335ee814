"""What the supervisor knows about one background service."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sempre.db.pool import Executor
from sempre.server.scope import Scope
from sempre.server.services.behind import Behind
from sempre.server.settings import Settings, describe

__all__ = ["Service"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """``run`` is one round, correct when every replica is in one at the same time.

    It is called every ``interval`` seconds by whichever replica takes the turn; one that is ``continuous`` shares its
    work out by itself, and every replica calls it again as soon as it returns, which must be within seconds.
    ``stop`` ends what its rounds left running, within so many seconds. ``consumer``: it reads the event log by that
    cursor; ``behind`` counts what else it may have to do.
    """

    name: str
    description: str
    section: str  # of settings.services; its ``enabled`` switches the service
    enabled: Callable[[Settings], bool]
    interval: Callable[[Settings], float]
    run: Callable[[Scope], Awaitable[None]]
    stop: Callable[[Scope, float], Awaitable[None]] | None = None
    continuous: bool = False
    longest_round: float = 300.0  # seconds after which a round is cut off, as it hangs
    consumer: str | None = None
    behind: Callable[[Executor], Awaitable[Behind]] | None = None

    @property
    def environment_variable(self) -> str:
        """The setting that switches the service."""
        path = f"services.{self.section}.enabled"
        return next(info.name for info in describe() if info.path == path)
