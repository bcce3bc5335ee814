"""What the examples share. Imports neither SDK: it is there on both sides."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

__all__ = ["SIDE", "ended", "error_of", "own", "until"]

SIDE = os.environ.get("EXAMPLES_SIDE", "nobody")


def own(name: str) -> str:
    """The name of a thing on the server that this side has for itself."""
    return f"{SIDE}-{name}"


def ended(state: Any) -> list[Any]:
    """Type, name and value of a final state; of exceptions the name of the class."""
    value = state.result(raise_on_failure=False)
    return [state.type.value, state.name, type(value).__name__ if isinstance(value, BaseException) else value]


def error_of(call: Callable[[], Any]) -> list[str]:
    """The name of the class of what a call raises, and its text."""
    try:
        call()
    except Exception as error:
        return [type(error).__name__, str(error)]
    return ["nothing", ""]


def until(holds: Callable[[], Any], description: str, timeout: float = 60) -> Any:
    """Look until something is there, and return it."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        found = holds()
        if found:
            return found
        time.sleep(0.1)
    raise TimeoutError(f"not within {timeout} s: {description}")
