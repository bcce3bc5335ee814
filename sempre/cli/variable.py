"""`sempre variable`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from sempre.cli.connection import open_api
from sempre.cli.errors import CliError
from sempre.cli.find import VARIABLE, find, find_if_there
from sempre.cli.lists import read_list
from sempre.cli.moments import ago
from sempre.cli.output import Output, Yes, confirm_on_terminal, print_json, print_sheet, print_table, report, wants_json
from sempre.cli.rest import Json
from sempre.cli.values import parse_value

app = typer.Typer(no_args_is_help=True, help="Read and set variables.")

_Name = Annotated[str, typer.Argument(metavar="NAME", help="The variable's name.")]


@app.command("ls")
def ls(
    limit: Annotated[int | None, typer.Option("--limit", "-l", min=1, help="Show at most so many.")] = None,
    output: Output = None,
) -> None:
    """List variables.

    Example: `sempre variable ls -o json`
    """
    as_json = wants_json(output)
    found = read_list(open_api(), "/variables/filter", {"sort": "NAME_ASC"}, limit)
    rows = [(item["name"], _short(item["value"]), ", ".join(item["tags"]), ago(item["updated"])) for item in found]
    report(as_json, found, lambda: print_table(("Name", "Value", "Tags", "Updated"), rows))


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _short(value: object) -> str:
    line = " ".join(_text(value).split())
    return line if len(line) <= 60 else line[:57] + "..."


@app.command()
def get(name: _Name, output: Output = None) -> None:
    """Print the value of a variable: a text as it is, everything else as JSON.

    Example: `BUCKET=$(sempre variable get bucket)`
    """
    as_json = wants_json(output)
    value = find(open_api(), VARIABLE, name)["value"]
    if as_json:
        print_json(value)
    else:
        typer.echo(_text(value))


@app.command()
def inspect(name: _Name, output: Output = None) -> None:
    """Show everything about a variable.

    Example: `sempre variable inspect bucket`
    """
    as_json = wants_json(output)
    found = find(open_api(), VARIABLE, name)
    report(as_json, found, lambda: print_sheet(found))


@app.command("set")
def set_(
    name: _Name,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="JSON; what is no JSON is a text.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Change it if it is there already.")] = False,
    tag: Annotated[list[str] | None, typer.Option("--tag", help="A tag; may be repeated.")] = None,
    output: Output = None,
) -> None:
    """Set a variable.

    Examples: `sempre variable set bucket my-data`, `sempre variable set limits '{"rows": 1000}' --tag etl --overwrite`
    """
    as_json = wants_json(output)
    api = open_api()
    body: Json = {"name": name, "value": parse_value(value), "tags": tag or []}
    before = find_if_there(api, VARIABLE, name)
    if before and not overwrite:
        raise CliError(f"Variable {name!r} already exists. Use --overwrite to change it.")
    if before:
        api.patch(f"/variables/{before['id']}", body)
        after = api.get(f"/variables/{before['id']}")
    else:
        after = api.post("/variables/", body)
    report(as_json, after, f"Set variable {name!r}.")


@app.command("unset")
@app.command("delete")
def unset(name: _Name, yes: Yes = False, output: Output = None) -> None:
    """Delete a variable.

    Examples: `sempre variable unset bucket`, `sempre variable delete bucket -y`
    """
    as_json = wants_json(output)
    api = open_api()
    found = find(api, VARIABLE, name)
    confirm_on_terminal(f"Delete the variable {name!r}?", yes=yes)
    api.delete(f"/variables/{found['id']}")
    report(as_json, {"deleted": [{"id": found["id"], "name": found["name"]}]}, f"Deleted variable {name!r}.")
