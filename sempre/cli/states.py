"""States in filters and in words."""

from __future__ import annotations

from typing import Annotated

import typer

from sempre.cli.lists import any_of
from sempre.cli.output import fail
from sempre.cli.rest import Json
from sempre.core.states import StateType

FINAL = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})

StateName = Annotated[
    list[str] | None, typer.Option("--state", help="Only those in a state of this name; may be repeated.")
]
StateTypes = Annotated[
    list[str] | None,
    typer.Option("--state-type", help=f"Only those of this type ({', '.join(StateType)}); may be repeated."),
]


def state_criteria(names: list[str] | None, types: list[str] | None) -> Json:
    """The `state` member of a filter of runs; empty when nothing is asked for."""
    state: Json = {}
    if names:
        state["name"] = any_of(*(name.capitalize() if name.islower() else name for name in names))
    if types:
        wanted = [each.upper() for each in types]
        for each in wanted:
            if each not in list(StateType):
                fail(f"{each!r} is not a type of state; there are {', '.join(StateType)}.")
        state["type"] = any_of(*wanted)
    return {"state": state} if state else {}


def state_in_words(run: Json) -> str:
    """`Failed: the reason`, or `without a state`."""
    state = run.get("state") or {}
    if not state:
        return "without a state"
    return f"{state['name']}: {state['message']}" if state.get("message") else str(state["name"])
