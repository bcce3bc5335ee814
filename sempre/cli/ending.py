"""What is closed when the command ends, however it ends."""

from __future__ import annotations

from contextlib import ExitStack

_stack = ExitStack()
at_end = _stack.callback
"""Have a function called at the end of the command."""


def end() -> None:
    """Call and forget what was asked for, the last first."""
    _stack.close()
