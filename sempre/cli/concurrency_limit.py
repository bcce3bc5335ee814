"""`sempre concurrency-limit`: limits of tags of tasks."""

from __future__ import annotations

from typing import Annotated

import typer

from sempre.cli.connection import open_api
from sempre.cli.find import TAG_LIMIT, find
from sempre.cli.lists import pages
from sempre.cli.moments import ago
from sempre.cli.output import Output, Yes, confirm_on_terminal, print_sheet, print_table, report, wants_json
from sempre.cli.rest import seg

app = typer.Typer(no_args_is_help=True, help="Limit how many tasks with a tag run at once.")

_Tag = Annotated[str, typer.Argument(metavar="TAG", help="The tag.")]


@app.command("create")
def create(
    tag: _Tag,
    limit: Annotated[int, typer.Argument(metavar="LIMIT", min=0, help="How many tasks at once.")],
    output: Output = None,
) -> None:
    """Limit how many tasks with a tag run at once; a limit that is there is changed.

    Example: `sempre concurrency-limit create database 5`
    """
    as_json = wants_json(output)
    api = open_api()
    made = api.post("/concurrency_limits/", {"tag": tag, "concurrency_limit": limit})
    report(as_json, made, f"At most {limit} tasks with the tag {tag!r} run at once.")


@app.command("ls")
def ls(
    limit: Annotated[int, typer.Option("--limit", "-l", min=1, help="Show at most so many.")] = 200,
    offset: Annotated[int, typer.Option("--offset", min=0, help="Leave out so many.")] = 0,
    output: Output = None,
) -> None:
    """List the limits of tags.

    Example: `sempre concurrency-limit ls`
    """
    as_json = wants_json(output)
    found = list(pages(open_api(), "/concurrency_limits/filter", limit=offset + limit))[offset:]
    rows = [
        (item["tag"], str(item["concurrency_limit"]), str(len(item["active_slots"])), ago(item["updated"]))
        for item in found
    ]
    report(as_json, found, lambda: print_table(("Tag", "Limit", "In use", "Updated"), rows))


@app.command()
def inspect(tag: _Tag, output: Output = None) -> None:
    """Show the limit of a tag and the task runs that hold its slots.

    Example: `sempre concurrency-limit inspect database`
    """
    as_json = wants_json(output)
    found = find(open_api(), TAG_LIMIT, tag)
    report(as_json, found, lambda: print_sheet(found))


@app.command()
def reset(tag: _Tag, yes: Yes = False, output: Output = None) -> None:
    """Take all slots of a tag back. Tasks that hold one are not stopped: more than the limit may run for a while.

    Example: `sempre concurrency-limit reset database`
    """
    as_json = wants_json(output)
    api = open_api()
    find(api, TAG_LIMIT, tag)
    confirm_on_terminal(f"Take all slots of the tag {tag!r} back?", yes=yes)
    api.post(f"/concurrency_limits/tag/{seg(tag)}/reset")
    after = find(api, TAG_LIMIT, tag)
    report(as_json, after, f"No slot of the tag {tag!r} is in use any more.")


@app.command()
def delete(tag: _Tag, yes: Yes = False, output: Output = None) -> None:
    """Lift the limit of a tag.

    Example: `sempre concurrency-limit delete database`
    """
    as_json = wants_json(output)
    api = open_api()
    found = find(api, TAG_LIMIT, tag)
    confirm_on_terminal(f"Delete the limit of the tag {tag!r}?", yes=yes)
    api.delete(f"/concurrency_limits/tag/{seg(tag)}")
    report(
        as_json, {"deleted": [{"id": found["id"], "tag": tag}]}, f"Any number of tasks with the tag {tag!r} may run."
    )
