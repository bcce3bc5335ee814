"""The types of workers there are, each loaded when it is used."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from sempre.workers.base import Infrastructure

__all__ = ["TYPES", "MissingLibrary", "UnknownType", "WorkerType", "infrastructure_of"]


@dataclass(frozen=True)
class WorkerType:
    """Where a type is, and the extra of our package with the libraries that it needs."""

    module: str
    name: str
    extra: str | None = None


TYPES = {
    "process": WorkerType("sempre.workers.process", "ProcessInfrastructure"),
}


class UnknownType(Exception):
    """There are no workers of this type; the text names those there are."""


class MissingLibrary(Exception):
    """A type needs what is not installed. `extra` is the extra of our package that has it."""

    def __init__(self, type: str, extra: str, library: str) -> None:
        self.extra = extra
        super().__init__(
            f"Workers of type {type!r} need {library}, which is not installed: pip install 'sempre[{extra}]'"
        )


def infrastructure_of(name: str) -> type[Infrastructure]:
    """The class of a type. Raises UnknownType and MissingLibrary."""
    known = TYPES.get(name)
    if known is None:
        raise UnknownType(f"There are no workers of type {name!r}; there are: {', '.join(sorted(TYPES))}.")
    try:
        module = importlib.import_module(known.module)
    except ModuleNotFoundError as error:
        if known.extra is None or (error.name or "").startswith("sempre"):
            raise
        raise MissingLibrary(name, known.extra, error.name or "a library") from error
    found: type[Infrastructure] = getattr(module, known.name)
    return found
