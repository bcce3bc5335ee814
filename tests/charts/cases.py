"""The charts with every preset and a matrix of values: what is linted, rendered, compared and validated."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from tests.support.helm import CHARTS, Json, parsed, rendered

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"


@dataclass(frozen=True)
class Case:
    """A chart and the files of values that it is rendered with."""

    chart: str
    name: str
    values: tuple[Path, ...]

    @property
    def golden(self) -> Path:
        return GOLDEN / f"{self.chart}-{self.name}.yaml"

    def __str__(self) -> str:
        return f"{self.chart}-{self.name}"


@functools.cache
def text_of(case: Case) -> str:
    """What helm makes of it."""
    return rendered(case.chart, case.values)


@functools.cache
def objects_of(case: Case) -> tuple[Json, ...]:
    return tuple(parsed(text_of(case)))


def cases() -> list[Case]:
    """Defaults, presets, and each file under values/<chart>/."""
    found = [Case("sempre-server", "defaults", ())]
    found += [
        Case("sempre-server", f"preset-{path.stem}", (path, HERE / "values" / "domain.yaml"))
        for path in sorted((CHARTS / "sempre-server" / "presets").glob("*.yaml"))
    ]
    for chart in ("sempre-server", "sempre-worker"):
        found += [Case(chart, path.stem, (path,)) for path in sorted((HERE / "values" / chart).glob("*.yaml"))]
    return found


CASES = cases()
