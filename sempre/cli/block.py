"""`sempre block` and `sempre block type`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sempre.cli.connection import client_settings, open_api, ui_url
from sempre.cli.errors import ApiError, CliError, NotFound
from sempre.cli.find import BLOCK, BLOCK_TYPE, find, missing
from sempre.cli.lists import read_list
from sempre.cli.moments import ago
from sempre.cli.output import Output, Yes, confirm_on_terminal, print_sheet, print_table, report, wants_json
from sempre.cli.rest import Api, Json, seg

app = typer.Typer(no_args_is_help=True, help="Look at blocks and block types.")
types = typer.Typer(no_args_is_help=True, help="Look at block types.")
app.add_typer(types, name="type")
app.add_typer(types, name="types", hidden=True)

_Name = Annotated[str | None, typer.Argument(metavar="[TYPE/NAME]", help="For instance `secret/db-password`.")]
_Id = Annotated[str | None, typer.Option("--id", help="The block's id.")]
_Slug = Annotated[str, typer.Argument(metavar="TYPE", help="The slug of a block type, such as `secret`.")]


@app.command("ls")
def ls(output: Output = None) -> None:
    """List the blocks that were saved, without what is secret in them.

    Example: `sempre block ls`
    """
    as_json = wants_json(output)
    found = read_list(open_api(), "/block_documents/filter", {"include_secrets": False})
    rows = [
        (f"{_slug(item)}/{item['name']}", item["id"], (item["block_type"] or {}).get("name", ""), ago(item["updated"]))
        for item in found
    ]
    report(as_json, found, lambda: print_table(("Block", "ID", "Type", "Updated"), rows))


def _slug(document: Json) -> str:
    return str((document.get("block_type") or {}).get("slug", "?"))


def _find(api: Api, name: str | None, by_id: str | None) -> Json:
    if (name is None) == (by_id is None):
        raise CliError("Give either TYPE/NAME or --id.")
    if by_id:
        return find(api, BLOCK, by_id)
    slug, slash, called = (name or "").partition("/")
    if not slash:
        raise CliError(f"{name!r} is not of the form TYPE/NAME, such as `secret/db-password`.")
    try:
        found: Json = api.get(f"/block_types/slug/{seg(slug)}/block_documents/name/{seg(called)}")
    except NotFound:
        raise missing(BLOCK, name or "") from None
    return found


@app.command()
def inspect(name: _Name = None, by_id: _Id = None, output: Output = None) -> None:
    """Show a block; secrets are masked.

    Example: `sempre block inspect secret/db-password`
    """
    as_json = wants_json(output)
    found = _find(open_api(), name, by_id)
    plain = {key: value for key, value in found.items() if key not in ("block_type", "block_schema")}

    def show() -> None:
        print_sheet({"block": f"{_slug(found)}/{found['name']}", **plain})

    report(as_json, found, show)


@app.command()
def delete(name: _Name = None, by_id: _Id = None, yes: Yes = False, output: Output = None) -> None:
    """Delete a block.

    Example: `sempre block delete secret/db-password -y`
    """
    as_json = wants_json(output)
    api = open_api()
    found = _find(api, name, by_id)
    called = f"{_slug(found)}/{found['name']}"
    confirm_on_terminal(f"Delete the block {called}?", yes=yes)
    api.delete(f"/block_documents/{found['id']}")
    report(as_json, {"deleted": [{"id": found["id"], "name": called}]}, f"Deleted block {called}.")


@app.command()
def register(
    module: Annotated[str | None, typer.Option("--module", "-m", help="A module, like my_package.blocks.")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="A file of Python.")] = None,
    output: Output = None,
) -> None:
    """Make the block types that a module or file defines known to the server, so that blocks of them can be filled in.

    Examples: `sempre block register -m my_package.blocks`, `sempre block register -f blocks.py`
    """
    as_json = wants_json(output)
    if (module is None) == (file is None):
        raise CliError("Give either --module or --file.")
    api = open_api()
    # The SDK brings pydantic; no other command on blocks needs it.
    from sempre.cli.block_classes import register_all

    made = register_all(api.url, module if module is not None else Path(file or ""))
    rows = [(each["slug"], each["name"]) for each in made]
    report(as_json, made, lambda: print_table(("Registered", "Name"), rows))


@app.command("create")
def create(slug: _Slug, output: Output = None) -> None:
    """Say where in the web UI a block of a type is filled in.

    Example: `sempre block create secret`
    """
    as_json = wants_json(output)
    api = open_api()
    kind = find(api, BLOCK_TYPE, slug)
    url = f"{ui_url(client_settings(), api.url)}/blocks/catalog/{kind['slug']}/create"
    report(as_json, {"url": url}, f"Fill in a block of type {kind['name']} at {url}")


@types.command("ls")
def ls_types(output: Output = None) -> None:
    """List block types.

    Example: `sempre block type ls`
    """
    as_json = wants_json(output)
    found = sorted(read_list(open_api(), "/block_types/filter"), key=lambda kind: str(kind["slug"]))
    rows = [(kind["slug"], kind["name"], " ".join((kind["description"] or "").split())[:80]) for kind in found]
    report(as_json, found, lambda: print_table(("Slug", "Name", "Description"), rows))


@types.command("inspect")
def inspect_type(slug: _Slug, output: Output = None) -> None:
    """Show a block type.

    Example: `sempre block type inspect secret`
    """
    as_json = wants_json(output)
    found = find(open_api(), BLOCK_TYPE, slug)
    report(as_json, found, lambda: print_sheet(found))


@types.command("delete")
def delete_type(slug: _Slug, yes: Yes = False, output: Output = None) -> None:
    """Delete a block type, with all blocks of it.

    Example: `sempre block type delete my-block -y`
    """
    as_json = wants_json(output)
    api = open_api()
    found = find(api, BLOCK_TYPE, slug)
    confirm_on_terminal(f"Delete the block type {slug!r} and all blocks of it?", yes=yes)
    try:
        api.delete(f"/block_types/{found['id']}")
    except ApiError as error:
        if error.status == 403:
            raise CliError(
                f"Block type {slug!r} is protected: it belongs to the server and cannot be deleted."
            ) from None
        raise
    gone = {"deleted": [{"id": found["id"], "name": found["slug"]}]}
    report(as_json, gone, f"Deleted block type {slug!r} and all blocks of it.")
