"""Which function carries out which action."""

from collections.abc import Awaitable, Callable

from sempre.server.actions.invocation import Invocation, unexpected_status
from sempre.server.errors import ServiceError

__all__ = ["perform"]

Perform = Callable[[Invocation], Awaitable[None]]


async def _nothing(invocation: Invocation) -> None:
    """The firing is all that was wanted."""


_BY_TYPE: dict[str, Perform] = {
    "do-nothing": _nothing,
}


async def perform(invocation: Invocation) -> None:
    """Carry out an action. Raises ActionFailed if that cannot be done, anything else if it may be tried again."""
    try:
        await _BY_TYPE[invocation.action.type](invocation)
    except ServiceError as error:
        raise unexpected_status(invocation.action.type, error) from error
