"""`sempre work-queue`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sempre.cli.connection import open_api
from sempre.cli.errors import AlreadyExists, CliError, NotFound
from sempre.cli.find import WORK_POOL, find, is_id
from sempre.cli.lists import any_of, read_list
from sempre.cli.moments import ago
from sempre.cli.output import Output, Yes, confirm_on_terminal, print_sheet, print_table, report, wants_json
from sempre.cli.rest import Api, Json, seg
from sempre.cli.work_pool import print_upcoming, upcoming

app = typer.Typer(no_args_is_help=True, help="Create and steer the queues of work pools.")

_Name = Annotated[str, typer.Argument(metavar="NAME|ID", help="The queue's name, or its id.")]
_Pool = Annotated[
    str | None, typer.Option("--pool", "-p", help="The queue's work pool. Without it, that of agents is meant.")
]


@app.command("ls")
def ls(
    pool: Annotated[str | None, typer.Option("--pool", "-p", help="Only the queues of this work pool.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show descriptions, too.")] = False,
    output: Output = None,
) -> None:
    """List work queues, those that are served first above.

    Example: `sempre work-queue ls --pool mine`
    """
    as_json = wants_json(output)
    api = open_api()
    if pool:
        find(api, WORK_POOL, pool)
    found = read_list(api, f"/work_pools/{seg(pool)}/queues/filter" if pool else "/work_queues/filter")
    found.sort(key=lambda queue: (queue["work_pool_name"] or "", queue["priority"], queue["name"]))
    columns = ("Pool", "Name", "ID", "Priority", "Limit", "Status", "Polled", *(("Description",) if verbose else ()))
    rows = [
        (
            queue["work_pool_name"] or "",
            queue["name"],
            queue["id"],
            str(queue["priority"]),
            "" if queue["concurrency_limit"] is None else str(queue["concurrency_limit"]),
            "PAUSED" if queue["is_paused"] else (queue["status"] or ""),
            ago(queue["last_polled"]),
            *((queue["description"] or "",) if verbose else ()),
        )
        for queue in found
    ]
    report(as_json, found, lambda: print_table(columns, rows))


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new queue's name.")],
    pool: _Pool = None,
    limit: Annotated[int | None, typer.Option("--limit", "-l", min=0, help="How many runs at once.")] = None,
    priority: Annotated[
        int | None, typer.Option("--priority", "-q", min=1, help="1 is served first; others make room.")
    ] = None,
    description: Annotated[str | None, typer.Option("--description", help="What it is for.")] = None,
    output: Output = None,
) -> None:
    """Create a work queue.

    Example: `sempre work-queue create urgent --pool mine --priority 1 --limit 4`
    """
    as_json = wants_json(output)
    api = open_api()
    if pool:
        find(api, WORK_POOL, pool)
    body: dict[str, Any] = {"name": name, "concurrency_limit": limit, "priority": priority, "description": description}
    path = f"/work_pools/{seg(pool)}/queues" if pool else "/work_queues/"
    try:
        made = api.post(path, {key: value for key, value in body.items() if value is not None})
    except AlreadyExists:
        raise CliError(f"Work queue {_called(name, pool)} already exists.") from None
    report(as_json, made, f"Created work queue {_called(name, made['work_pool_name'] or pool)} ({made['id']}).")


def _called(name: str, pool: str | None) -> str:
    return f"{name!r} of work pool {pool!r}" if pool else repr(name)


def _find(api: Api, name: str, pool: str | None) -> Json:
    try:
        if is_id(name):
            path = f"/work_queues/{name}"
        else:
            path = f"/work_pools/{seg(pool)}/queues/{seg(name)}" if pool else f"/work_queues/name/{seg(name)}"
        found: Json = api.get(path)
    except NotFound:
        elsewhere = "" if pool else " Queues of other pools need --pool."
        raise CliError(
            f"Work queue {_called(name, pool)} not found. `sempre work-queue ls` lists what there is.{elsewhere}"
        ) from None
    return found


@app.command()
def inspect(name: _Name, pool: _Pool = None, output: Output = None) -> None:
    """Show everything about a work queue.

    Example: `sempre work-queue inspect urgent --pool mine`
    """
    as_json = wants_json(output)
    found = _find(open_api(), name, pool)
    report(as_json, found, lambda: print_sheet(found))


@app.command()
def slots(name: _Name, pool: _Pool = None, output: Output = None) -> None:
    """Show how many slots of a work queue are in use.

    Example: `sempre work-queue slots urgent --pool mine`
    """
    as_json = wants_json(output)
    api = open_api()
    status: Json = api.post(f"/work_queues/{_find(api, name, pool)['id']}/concurrency_status")
    report(as_json, status, lambda: print_sheet(status))


@app.command()
def pause(name: _Name, pool: _Pool = None, output: Output = None) -> None:
    """Pause a work queue: workers get no more runs from it until it is resumed.

    Example: `sempre work-queue pause urgent --pool mine`
    """
    _change(name, pool, {"is_paused": True}, "Paused work queue {}.", output)


@app.command()
def resume(name: _Name, pool: _Pool = None, output: Output = None) -> None:
    """Resume a work queue.

    Example: `sempre work-queue resume urgent --pool mine`
    """
    _change(name, pool, {"is_paused": False}, "Resumed work queue {}.", output)


@app.command("set-concurrency-limit")
def set_concurrency_limit(
    name: _Name,
    limit: Annotated[int, typer.Argument(metavar="LIMIT", min=0, help="How many runs it may have at once.")],
    pool: _Pool = None,
    output: Output = None,
) -> None:
    """Limit how many runs of a work queue go on at once.

    Example: `sempre work-queue set-concurrency-limit urgent 4 --pool mine`
    """
    _change(name, pool, {"concurrency_limit": limit}, f"Work queue {{}} may have {limit} runs at once.", output)


@app.command("clear-concurrency-limit")
def clear_concurrency_limit(name: _Name, pool: _Pool = None, output: Output = None) -> None:
    """Lift the limit of a work queue.

    Example: `sempre work-queue clear-concurrency-limit urgent --pool mine`
    """
    _change(name, pool, {"concurrency_limit": None}, "Work queue {} may have any number of runs at once.", output)


def _change(name: str, pool: str | None, body: Json, text: str, output: str | None) -> None:
    as_json = wants_json(output)
    api = open_api()
    path = f"/work_queues/{_find(api, name, pool)['id']}"
    api.patch(path, body)
    report(as_json, api.get(path) if as_json else None, text.replace("{}", _called(name, pool)))


@app.command()
def delete(name: _Name, pool: _Pool = None, yes: Yes = False, output: Output = None) -> None:
    """Delete a work queue.

    Example: `sempre work-queue delete urgent --pool mine -y`
    """
    as_json = wants_json(output)
    api = open_api()
    found = _find(api, name, pool)
    confirm_on_terminal(f"Delete the work queue {_called(name, pool)}?", yes=yes)
    api.delete(f"/work_queues/{found['id']}")
    gone = {"deleted": [{"id": found["id"], "name": found["name"]}]}
    report(as_json, gone, f"Deleted work queue {_called(name, pool)}.")


@app.command()
def preview(
    name: _Name,
    hours: Annotated[float, typer.Option("--hours", "-h", min=0, help="How far to look ahead.")] = 24,
    pool: _Pool = None,
    output: Output = None,
) -> None:
    """List the runs that a work queue has to start within the next hours.

    Example: `sempre work-queue preview urgent --pool mine -h 12`
    """
    as_json = wants_json(output)
    api = open_api()
    found = _find(api, name, pool)
    print_upcoming(api, upcoming(api, {"work_pool_queues": {"id": any_of(found["id"])}}, hours), as_json)


@app.command("read-runs")
def read_runs(name: _Name, pool: _Pool = None, output: Output = None) -> None:
    """Show the runs of a work queue that a worker would be given now. They are not taken.

    Example: `sempre work-queue read-runs urgent --pool mine`
    """
    as_json = wants_json(output)
    api = open_api()
    found = _find(api, name, pool)
    waiting = upcoming(api, {"work_pool_queues": {"id": any_of(found["id"])}}, 0)

    def show() -> None:
        count = len(waiting)
        typer.echo(f"{count} run{'s' if count != 1 else ''} of work queue {_called(name, pool)} could start now.")
        if waiting:
            print_upcoming(api, waiting, False)

    report(as_json, waiting, show)
