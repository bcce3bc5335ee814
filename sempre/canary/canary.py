"""What a canary is, and how its playing can end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sempre.canary.stage import Stage

__all__ = ["Canary", "CanaryFailed", "CanarySkipped", "Outcome", "Result"]

Result = Literal["passed", "failed", "timed out", "skipped"]


class CanaryFailed(AssertionError):
    """What the canary watches is not as it should be. The message says what is wrong."""


class CanarySkipped(Exception):
    """This server cannot do at all what the canary watches. The message says what it lacks."""


@dataclass(frozen=True)
class Canary:
    """One thing that an installation must be able to do.

    `about` completes "It is healthy if ..."; `check` returns if so and raises if not. `seconds` is what it may take at
    most. A `slow` one needs a minute or more on the best of installations. `needs` are operations of the API, as
    `METHOD /path`, that not every server of the protocol has; on one without them it is skipped.
    """

    name: str
    about: str
    check: Callable[[Stage], None]
    seconds: float = 60.0
    slow: bool = False
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """How the playing of one canary ended: `message` says why it did not pass, `left_behind` what was not removed."""

    name: str
    result: Result
    seconds: float
    message: str = ""
    left_behind: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return self.result == "passed"

    @property
    def skipped(self) -> bool:
        return self.result == "skipped"

    @property
    def failed(self) -> bool:
        """Neither passed nor skipped."""
        return not self.passed and not self.skipped
