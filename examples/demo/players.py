"""Whose SDK and worker play: Sempre's own, or the stock client's, with the same pipeline but for its imports."""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_FILES = ("__init__.py", "deploy.py", "pipeline.py", "readings.py")
_IMPORT = re.compile(r"^(from|import) sempre\b", re.MULTILINE)


@dataclass(frozen=True)
class Players:
    """``package`` is what the pipeline imports from, in the environment of ``python``.

    ``patient``: a process that finds no server at its very first request waits for one.
    """

    package: str
    python: Path
    patient: bool

    @property
    def command(self) -> str:
        """The command line, as one would type it in that environment."""
        return str(self.python.with_name(self.package))

    def code(self, workplace: Path) -> Path:
        """The directory from which the pipeline is imported; for the stock client a copy with changed imports."""
        if self.package == "sempre":
            return ROOT
        copy = workplace / "stock"
        target = copy / "examples"
        shutil.copytree(ROOT / "examples" / "data", target / "data")
        for name in _FILES:
            text = (ROOT / "examples" / name).read_text(encoding="utf-8")
            (target / name).write_text(_IMPORT.sub(rf"\1 {self.package}", text), encoding="utf-8")
        return copy


def players(client_python: Path | None) -> Players:
    """The stock client's if its Python is named, else our own."""
    if client_python is None:
        return Players("sempre", Path(sys.executable), patient=True)
    # Not resolved: an environment's python is a link to one outside of it.
    return Players("prefect", client_python.absolute(), patient=False)
