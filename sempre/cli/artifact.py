"""`sempre artifact`."""

from __future__ import annotations

from typing import Annotated

import typer

from sempre.cli.connection import open_api
from sempre.cli.errors import CliError, NotFound
from sempre.cli.lists import any_of, read_list
from sempre.cli.moments import ago
from sempre.cli.output import Output, Yes, confirm_on_terminal, print_sheet, print_table, report, wants_json
from sempre.cli.progress import each
from sempre.cli.rest import Api, Json

app = typer.Typer(no_args_is_help=True, help="Look at artifacts.")

_Key = Annotated[str, typer.Argument(metavar="KEY", help="The artifacts' key.")]


@app.command("ls")
def ls(
    limit: Annotated[int, typer.Option("--limit", "-l", min=1, help="Show at most so many.")] = 100,
    every: Annotated[bool, typer.Option("--all", "-a", help="All versions, not only the latest of each key.")] = False,
    output: Output = None,
) -> None:
    """List the latest artifact of each key.

    Example: `sempre artifact ls --all --limit 500`
    """
    as_json = wants_json(output)
    path = "/artifacts/filter" if every else "/artifacts/latest/filter"
    found = read_list(open_api(), path, {"sort": "KEY_ASC"}, limit)
    rows = [
        (item["key"] or "", item.get("latest_id") or item["id"], item["type"] or "", ago(item["updated"]))
        for item in found
    ]
    report(as_json, found, lambda: print_table(("Key", "ID", "Type", "Updated"), rows))


def _versions(api: Api, key: str, limit: int | None = None) -> list[Json]:
    body = {"artifacts": {"key": any_of(key)}, "sort": "UPDATED_DESC"}
    found = read_list(api, "/artifacts/filter", body, limit)
    if not found:
        raise CliError(f"Artifact {key!r} not found. `sempre artifact ls` lists what there is.")
    return found


@app.command()
def inspect(
    key: _Key,
    limit: Annotated[int, typer.Option("--limit", "-l", min=1, help="Show at most so many versions.")] = 10,
    output: Output = None,
) -> None:
    """Show the versions of an artifact, the latest first.

    Example: `sempre artifact inspect daily-report --limit 1`
    """
    as_json = wants_json(output)
    found = _versions(open_api(), key, limit)

    def show() -> None:
        for number, item in enumerate(found):
            if number:
                typer.echo("")
            print_sheet(item)

    report(as_json, found, show)


@app.command()
def delete(
    key: Annotated[str | None, typer.Argument(metavar="[KEY]", help="The artifacts' key.")] = None,
    by_id: Annotated[str | None, typer.Option("--id", help="The id of one version.")] = None,
    yes: Yes = False,
    output: Output = None,
) -> None:
    """Delete all versions of an artifact, or one of them by its id.

    Examples: `sempre artifact delete daily-report -y`, `sempre artifact delete --id 0190a3f2-...`
    """
    as_json = wants_json(output)
    if (key is None) == (by_id is None):
        raise CliError("Give either a key or --id.")
    api = open_api()
    ids = [by_id] if by_id else [item["id"] for item in _versions(api, key or "")]
    what = f"artifact {by_id}" if by_id else f"{len(ids)} versions of artifact {key!r}"
    confirm_on_terminal(f"Delete {what}?", yes=yes)

    def remove(one: str) -> str:
        try:
            api.delete(f"/artifacts/{one}")
        except NotFound:
            if by_id:
                raise CliError(f"Artifact {one!r} not found. `sempre artifact ls --all` lists what there is.") from None
        return one

    gone = each(ids, remove, "Deleting")
    report(as_json, {"deleted": [{"id": one, "key": key} for one in gone]}, f"Deleted {what}.")
