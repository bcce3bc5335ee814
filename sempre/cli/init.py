"""`sempre init`: a project file for this directory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sempre.cli.deploy_questions import asks
from sempre.cli.errors import CliError
from sempre.cli.output import Output, print_table, report, wants_json
from sempre.cli.users_code import errors_in_words

app = typer.Typer()


@app.command()
def init(
    name: Annotated[
        str | None, typer.Option("--name", help="What the project is called.  [default: the directory]")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option("--recipe", help="Where workers get the code from; `list` shows the recipes.")
    ] = None,
    field: Annotated[
        list[str] | None, typer.Option("--field", "-f", help="`name=value` for the recipe; may be repeated.")
    ] = None,
    output: Output = None,
) -> None:
    """Write a sempre.yaml into this directory, for `sempre deploy` to read.

    Examples: `sempre init`, `sempre init --recipe docker -f image_name=registry.example.org/etl -f tag=latest`
    """
    from sempre.sdk.deploying.project.file import FILE_NAMES, find_project_file, write_project_file
    from sempre.sdk.deploying.project.recipes import RECIPES, defaults, project_text, recipe_of

    as_json = wants_json(output)
    if recipe == "list":
        rows = [(each, about.about, ", ".join(about.fields)) for each, about in RECIPES.items()]
        told = [{"name": each, "about": about.about, "fields": list(about.fields)} for each, about in RECIPES.items()]
        report(as_json, told, lambda: print_table(("Recipe", "For", "Fields"), rows))
        return
    there = find_project_file()
    if there is not None:
        raise CliError(f"There is a {there.name} here already; change that one.")
    here = Path.cwd()
    with errors_in_words():
        chosen = recipe_of(recipe or "local")
        fields = {**defaults(here), **_fields(field)}
        if asks(never=as_json):
            fields |= {each: typer.prompt(each) for each in chosen.fields if not fields.get(each)}
        text = project_text(name or here.name, chosen, fields)
    path = here / FILE_NAMES[0]
    write_project_file(path, text)
    report(as_json, {"file": str(path), "recipe": recipe or "local"}, f"Wrote {path}.")


def _fields(pairs: list[str] | None) -> dict[str, str]:
    found = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise CliError(f"--field {pair!r} is not of the form name=value")
        found[name] = value
    return found
