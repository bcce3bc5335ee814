"""What the supervisor knows about one background service."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from sempre.server.scope import Scope
from sempre.server.settings import Settings, describe

__all__ = ["Beat", "Consumer", "Service"]

Beat = Callable[[], None]


class Consumer(Protocol):
    """A service that runs all the time. ``run`` ends by cancellation only and calls ``beat`` after each round."""

    async def run(self, beat: Beat) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Either periodic (``run`` every ``interval`` seconds) or all the time (``consumer``)."""

    name: str
    description: str
    section: str  # of settings.services; its ``enabled`` switches the service
    enabled: Callable[[Settings], bool]
    interval: Callable[[Settings], float]
    run: Callable[[Scope], Awaitable[None]] | None = None
    consumer: Callable[[Scope], Consumer] | None = None
    longest_round: float = 300.0  # seconds after which a round in flight counts as hanging

    @property
    def environment_variable(self) -> str:
        """The setting that switches the service."""
        path = f"services.{self.section}.enabled"
        return next(info.name for info in describe() if info.path == path)
