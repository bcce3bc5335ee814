"""`sempre flow`."""

from __future__ import annotations

from typing import Annotated

import typer

from sempre.cli.connection import open_api
from sempre.cli.find import FLOW, find
from sempre.cli.flow_serve import serve
from sempre.cli.lists import Limit, any_of, read_list
from sempre.cli.moments import ago
from sempre.cli.output import Output, Yes, confirm_on_terminal, print_sheet, print_table, report, wants_json

app = typer.Typer(no_args_is_help=True, help="Look at flows, serve one.")
app.command("serve")(serve)

_One = Annotated[str, typer.Argument(metavar="NAME|ID", help="The flow's name, or its id.")]


@app.command("ls")
def ls(limit: Limit = 15, output: Output = None) -> None:
    """List flows, the newest first.

    Example: `sempre flow ls --limit 100 -o json`
    """
    as_json = wants_json(output)
    found = read_list(open_api(), "/flows/filter", {"sort": "CREATED_DESC"}, limit)
    rows = [(flow["id"], flow["name"], ", ".join(flow["tags"]), ago(flow["created"])) for flow in found]
    report(as_json, found, lambda: print_table(("ID", "Name", "Tags", "Created"), rows))


@app.command()
def inspect(flow: _One, output: Output = None) -> None:
    """Show a flow and its deployments.

    Example: `sempre flow inspect etl`. With `-o json` the flow's document has a member `deployments`.
    """
    as_json = wants_json(output)
    api = open_api()
    found = find(api, FLOW, flow)
    deployments = read_list(api, "/deployments/filter", {"flows": {"id": any_of(found["id"])}, "sort": "NAME_ASC"})

    def show() -> None:
        print_sheet({**found, "deployments": ", ".join(f"{found['name']}/{each['name']}" for each in deployments)})

    report(as_json, {**found, "deployments": deployments}, show)


@app.command()
def delete(flow: _One, yes: Yes = False, output: Output = None) -> None:
    """Delete a flow, with all of its deployments and runs.

    Example: `sempre flow delete etl -y`
    """
    as_json = wants_json(output)
    api = open_api()
    found = find(api, FLOW, flow)
    confirm_on_terminal(f"Delete the flow {found['name']!r} with its deployments and all of its runs?", yes=yes)
    api.delete(f"/flows/{found['id']}")
    gone = {"deleted": [{"id": found["id"], "name": found["name"]}]}
    report(as_json, gone, f"Deleted flow {found['name']!r} ({found['id']}).")
