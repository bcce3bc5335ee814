"""`sempre global-concurrency-limit` (`gcl`): limits by name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sempre.cli.connection import open_api
from sempre.cli.errors import AlreadyExists, CliError
from sempre.cli.find import GLOBAL_LIMIT, find
from sempre.cli.lists import read_list
from sempre.cli.moments import ago
from sempre.cli.output import Output, Yes, confirm_on_terminal, print_sheet, print_table, report, wants_json
from sempre.cli.rest import Json, seg
from sempre.cli.values import write_document

app = typer.Typer(no_args_is_help=True, help="Limit anything by name, across flows and machines.")

_Name = Annotated[str, typer.Argument(metavar="NAME|ID", help="The limit's name, or its id.")]
_Slots = Annotated[int | None, typer.Option("--active-slots", min=0, help="How many count as in use.")]
_Decay = Annotated[
    float | None,
    typer.Option("--slot-decay-per-second", min=0, help="How many slots come back by themselves a second."),
]


@app.command("ls")
def ls(output: Output = None) -> None:
    """List global limits.

    Example: `sempre gcl ls`
    """
    as_json = wants_json(output)
    found = read_list(open_api(), "/v2/concurrency_limits/filter")
    rows = [
        (
            item["name"],
            item["id"],
            str(item["limit"]),
            str(item["active_slots"]),
            f"{item['slot_decay_per_second']:g}",
            "yes" if item["active"] else "no",
            ago(item["updated"]),
        )
        for item in found
    ]
    columns = ("Name", "ID", "Limit", "In use", "Decay/s", "Enabled", "Updated")
    report(as_json, found, lambda: print_table(columns, rows))


@app.command()
def inspect(
    name: _Name,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Write it as JSON into this file.")] = None,
    output: Output = None,
) -> None:
    """Show everything about a global limit.

    Example: `sempre gcl inspect api-calls`
    """
    as_json = wants_json(output)
    found = find(open_api(), GLOBAL_LIMIT, name)
    if file:
        write_document(file, found)
    report(as_json, found, lambda: print_sheet(found))


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The limit's name.")],
    limit: Annotated[int, typer.Option("--limit", "-l", min=0, help="How many slots there are.")],
    disable: Annotated[bool, typer.Option("--disable", help="Nobody is held up by it until it is enabled.")] = False,
    active_slots: _Slots = None,
    slot_decay_per_second: _Decay = None,
    output: Output = None,
) -> None:
    """Create a global limit.

    Examples: `sempre gcl create connections --limit 5`,
    `sempre gcl create api-calls -l 10 --slot-decay-per-second 2` for ten at once and two a second
    """
    as_json = wants_json(output)
    body = _given(active_slots=active_slots, slot_decay_per_second=slot_decay_per_second)
    try:
        made = open_api().post("/v2/concurrency_limits/", {**body, "name": name, "limit": limit, "active": not disable})
    except AlreadyExists:
        raise CliError(f"Global concurrency limit {name!r} already exists; `sempre gcl update` changes it.") from None
    report(as_json, made, f"Created global concurrency limit {name!r} ({made['id']}).")


def _given(**fields: Any) -> Json:
    return {name: value for name, value in fields.items() if value is not None}


@app.command()
def update(
    name: _Name,
    enable: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Whether it holds anybody up.", show_default=False)
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-l", min=0, help="How many slots there are.")] = None,
    active_slots: _Slots = None,
    slot_decay_per_second: _Decay = None,
    output: Output = None,
) -> None:
    """Change what is named of a global limit.

    Example: `sempre gcl update connections --limit 8`
    """
    body = _given(active=enable, limit=limit, active_slots=active_slots, slot_decay_per_second=slot_decay_per_second)
    if not body:
        raise CliError(
            "Nothing to change: give --enable, --disable, --limit, --active-slots or --slot-decay-per-second."
        )
    _change(name, body, f"Changed global concurrency limit {name!r}.", output)


@app.command()
def enable(name: _Name, output: Output = None) -> None:
    """Enable a global limit.

    Example: `sempre gcl enable connections`
    """
    _switch(name, True, output)


@app.command()
def disable(name: _Name, output: Output = None) -> None:
    """Disable a global limit: nobody is held up by it, and what it counted is kept.

    Example: `sempre gcl disable connections`
    """
    _switch(name, False, output)


def _switch(name: str, active: bool, output: str | None) -> None:
    word = "enabled" if active else "disabled"
    _change(name, {"active": active}, f"{word.capitalize()} global concurrency limit {name!r}.", output, unless=word)


def _change(name: str, body: Json, text: str, output: str | None, unless: str | None = None) -> None:
    """`unless` names the state that the limit must not be in already."""
    as_json = wants_json(output)
    api = open_api()
    found = find(api, GLOBAL_LIMIT, name)
    if unless and found["active"] == body["active"]:
        raise CliError(f"Global concurrency limit {name!r} is already {unless}.")
    path = f"/v2/concurrency_limits/{seg(name)}"
    api.patch(path, body)
    report(as_json, api.get(path) if as_json else None, text)


@app.command()
def delete(name: _Name, yes: Yes = False, output: Output = None) -> None:
    """Delete a global limit. Those who hold slots of it go on.

    Example: `sempre gcl delete connections`
    """
    as_json = wants_json(output)
    api = open_api()
    found = find(api, GLOBAL_LIMIT, name)
    confirm_on_terminal(f"Delete the global concurrency limit {name!r}?", yes=yes)
    api.delete(f"/v2/concurrency_limits/{found['id']}")
    gone = {"deleted": [{"id": found["id"], "name": found["name"]}]}
    report(as_json, gone, f"Deleted global concurrency limit {name!r}.")
