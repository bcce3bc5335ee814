"""The calls of our command line in rendered containers, and whether it takes them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import typer

from sempre.cli.app import load_group
from tests.images.prefect_name import prefect_name

__all__ = ["UsageError", "calls", "check_call", "pods"]

Json = dict[str, Any]
# What typer brings of click has no public name.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]
_PROGRAMS = ("prefect", "sempre")
_ENTRYPOINT = "/entrypoint.sh"
# In a script up to what ends a command or sends its output elsewhere.
_IN_SCRIPT = re.compile(rf"\b((?:{'|'.join(_PROGRAMS)}) [^;\n>|&]*)")


def pods(things: Iterable[Json]) -> Iterator[Json]:
    """The pods of all Deployments and Jobs."""
    for thing in things:
        if thing["kind"] in ("Deployment", "Job"):
            yield thing["spec"]["template"]["spec"]


def calls(container: Json) -> list[list[str]]:
    """The command lines of ours that a container runs, program first; none if it runs something else."""
    words = [*container.get("command", ()), *container.get("args", ())]
    at = next((number for number, word in enumerate(words) if word.endswith(_ENTRYPOINT)), -1)
    words = words[at + 1 :]
    if len(words) > 2 and words[0].endswith("sh") and words[1] == "-c":
        script, *given = words[2:]
        for number, value in enumerate(given):
            script = script.replace(f'"${number}"', shlex.quote(value))
        return [shlex.split(found) for found in _IN_SCRIPT.findall(script)]
    return [words] if words and words[0] in _PROGRAMS else []


def check_call(call: Sequence[str], *, prose: bool = False) -> None:
    """Parse a call as our command line does, running nothing. Raises UsageError for an option or a value that
    is none, KeyError for a command that is none. `prose` need not say what commands and options it leaves out."""
    program, *words = call
    if program == "prefect":
        assert prefect_name().refusal(words) is None
        words = prefect_name().translated(words)
    name, *rest = words
    command = load_group(name)
    while hasattr(command, "commands"):
        if prose and not rest:
            return
        command, rest = command.commands[rest[0]], rest[1:]
    try:
        command.make_context(shlex.join(call), list(rest))
    except typer.BadParameter as error:
        if not prose or type(error).__name__ != "MissingParameter":
            raise
