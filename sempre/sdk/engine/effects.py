"""What the engine asks of the world: small values that the generators yield and the drivers carry out.

A driver sends back what each effect's docstring says, or throws what went wrong into the generator.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

if TYPE_CHECKING:
    from sempre.sdk.futures import Future

__all__ = ["Await", "Call", "Do", "Effect", "Emit", "Hooks", "Outcome", "Request", "Say", "Sleep", "Steps"]

T = TypeVar("T")


class Effect:
    __slots__ = ()


class Emit(Effect):
    """Send an event, some time. -> None"""

    __slots__ = ("event",)

    def __init__(self, event: dict[str, Any]) -> None:
        self.event = event


class Say(Effect):
    """Log a line of the run's own. -> None"""

    __slots__ = ("error", "level", "logger", "message")

    def __init__(self, logger: Any, level: int, message: str, error: BaseException | None = None) -> None:
        self.logger = logger
        self.level = level
        self.message = message
        self.error = error


class Outcome:
    """How a call ended: with a value or with an exception."""

    __slots__ = ("error", "value")

    def __init__(self, value: Any = None, error: BaseException | None = None) -> None:
        self.value = value
        self.error = error


class Call(Effect):
    """Call the user's function, for at most ``seconds``; past that ``timeout`` is raised in it. -> Outcome

    ``generates``: it is a generator function, whose items are its value, as a list where nobody iterates.
    """

    __slots__ = ("args", "fn", "generates", "kwargs", "seconds", "timeout")

    def __init__(
        self,
        fn: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        seconds: float | None = None,
        timeout: type[TimeoutError] = TimeoutError,
        generates: bool = False,
    ) -> None:
        self.fn = fn
        self.args = args
        self.kwargs = kwargs
        self.seconds = seconds
        self.timeout = timeout
        self.generates = generates


class Sleep(Effect):
    """Let ``seconds`` pass. -> None"""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class Await(Effect):
    """Wait until all of these futures are done, however they ended. -> None"""

    __slots__ = ("futures",)

    def __init__(self, futures: Iterable[Future[Any]]) -> None:
        self.futures = tuple(futures)


class Do(Effect):
    """Do something of our own that may take a while (files, locks, storages). -> what it returns"""

    __slots__ = ("args", "fn")

    def __init__(self, fn: Callable[..., Any], *args: Any) -> None:
        self.fn = fn
        self.args = args


class Hooks(Effect):
    """Call the user's hooks one after the other; those that fail are logged and hold nothing up. -> None"""

    __slots__ = ("args", "hooks", "logger")

    def __init__(self, logger: Any, hooks: Sequence[Callable[..., Any]], *args: Any) -> None:
        self.logger = logger
        self.hooks = hooks
        self.args = args


class Request(Effect):
    """Ask the API. -> the answer; one subclass for each question, in :mod:`sempre.sdk.engine.requests`."""

    __slots__ = ()

    async def of(self, api: Any) -> Any:
        """Put the question to an API."""
        raise TypeError(f"{type(self).__name__} is no request that can be put")


Steps: TypeAlias = Generator[Effect, Any, T]
