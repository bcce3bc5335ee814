"""How the demo fails: with a sentence and the ends of the logs that tell why."""

from __future__ import annotations

from pathlib import Path


class DemoError(Exception):
    """Something went wrong; `logs` are the files to look into."""

    def __init__(self, message: str, *logs: Path) -> None:
        super().__init__(message)
        self.logs = logs


def tail(log: Path, lines: int = 25) -> str:
    """The last lines of a log file; empty when there is none."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
