"""`sempre task-run`."""

from __future__ import annotations

from typing import Annotated

import typer

from sempre.cli.connection import open_api
from sempre.cli.find import FLOW_RUN, TASK_RUN, find
from sempre.cli.lists import Limit, any_of, read_list
from sempre.cli.logs import Follow, Head, NumLogs, Reverse, Tail, show_logs
from sempre.cli.moments import ago
from sempre.cli.output import Output, print_sheet, print_table, report, wants_json
from sempre.cli.rest import Json
from sempre.cli.states import StateName, StateTypes, state_criteria

app = typer.Typer(no_args_is_help=True, help="Look at task runs and their logs.")

_One = Annotated[str, typer.Argument(metavar="ID|NAME", help="The task run's id, or its name.")]


@app.command("ls")
def ls(
    task_run_name: Annotated[list[str] | None, typer.Option(help="Only those of this name; may be repeated.")] = None,
    flow_run: Annotated[str | None, typer.Option(help="Only those of the flow run with this id or name.")] = None,
    state: StateName = None,
    state_type: StateTypes = None,
    limit: Limit = 15,
    output: Output = None,
) -> None:
    """List task runs, those expected last first.

    Examples: `sempre task-run ls --flow-run brave-otter --limit 500`, `sempre task-run ls --state-type FAILED -o json`
    """
    as_json = wants_json(output)
    criteria: Json = state_criteria(state, state_type)
    if task_run_name:
        criteria["name"] = any_of(*task_run_name)
    api = open_api()
    body: Json = {"sort": "EXPECTED_START_TIME_DESC", "task_runs": criteria}
    if flow_run:
        body["flow_runs"] = {"id": any_of(find(api, FLOW_RUN, flow_run)["id"])}
    found = read_list(api, "/task_runs/filter", body, limit)
    rows = [
        (run["id"], run["name"], run["state_name"] or "", ago(run["start_time"]), run["flow_run_id"] or "")
        for run in found
    ]
    report(as_json, found, lambda: print_table(("ID", "Name", "State", "Started", "Flow run"), rows))


@app.command()
def inspect(run: _One, output: Output = None) -> None:
    """Show everything that is known about a task run.

    Example: `sempre task-run inspect 0190a3f2-... -o json`
    """
    as_json = wants_json(output)
    found = find(open_api(), TASK_RUN, run)
    report(as_json, found, lambda: print_sheet(found))


@app.command()
def logs(
    run: _One,
    head: Head = False,
    tail: Tail = False,
    num_logs: NumLogs = None,
    reverse: Reverse = False,
    follow: Follow = False,
    output: Output = None,
) -> None:
    """Show the logs of a task run, oldest first.

    Example: `sempre task-run logs 0190a3f2-... --tail -n 5`
    """
    as_json = wants_json(output)
    api = open_api()
    found = find(api, TASK_RUN, run)
    show_logs(
        api, "task_run", found, head=head, tail=tail, num_logs=num_logs, reverse=reverse, follow=follow, as_json=as_json
    )
