"""What was acknowledged, written outside the system: one JSON object per line, each line one atomic append."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

Entry = dict[str, Any]


class Ledger:
    """Any number of processes and threads may write to one file; `kind`: what a line is about, `at`: epoch seconds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, kind: str, **facts: object) -> None:
        line = {"kind": kind, "at": round(time.time(), 4), **facts}
        os.write(self._file, json.dumps(line, default=str).encode() + b"\n")

    def sync(self) -> None:
        """Everything written is on disk when this returns."""
        os.fdatasync(self._file)

    def entries(self) -> Entries:
        return Entries.of(self.path)


class Entries:
    """The lines of one ledger or of several."""

    def __init__(self, lines: list[Entry]) -> None:
        self.lines = lines

    @classmethod
    def of(cls, *paths: Path) -> Entries:
        return cls([json.loads(line) for path in paths if path.exists() for line in path.read_text().splitlines()])

    def of_kind(self, kind: str) -> list[Entry]:
        return [line for line in self.lines if line["kind"] == kind]

    def values(self, kind: str, key: str = "id") -> list[str]:
        return [str(line[key]) for line in self.of_kind(kind)]

    def figures(self) -> dict[str, int]:
        """Lines by kind."""
        return dict(sorted(Counter(str(line["kind"]) for line in self.lines).items()))
