"""`sempre flow-run`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sempre.cli.connection import client_settings, open_api, ui_url
from sempre.cli.errors import CliError, NotFound
from sempre.cli.executing import execute_here
from sempre.cli.find import FLOW_RUN, find, is_id, missing
from sempre.cli.lists import Limit, any_of, names_by_id, read_list
from sempre.cli.logs import Follow, Head, NumLogs, Reverse, Tail, show_logs
from sempre.cli.moments import ago
from sempre.cli.output import (
    Output,
    Yes,
    confirm_on_terminal,
    open_in_browser,
    print_sheet,
    print_table,
    report,
    wants_json,
)
from sempre.cli.progress import each
from sempre.cli.rest import Api, Json
from sempre.cli.states import StateName, StateTypes, state_criteria, state_in_words
from sempre.cli.watching import watch_run

app = typer.Typer(no_args_is_help=True, help="Look at flow runs, follow them, cancel and retry them.")

_One = Annotated[str, typer.Argument(metavar="ID|NAME", help="The run's id, or its name.")]
_Some = Annotated[list[str], typer.Argument(metavar="ID|NAME...", help="Ids or names of runs.")]


@app.command("ls")
def ls(
    flow_name: Annotated[list[str] | None, typer.Option(help="Only runs of this flow; may be repeated.")] = None,
    deployment: Annotated[
        list[str] | None, typer.Option(help="Only runs of deployments with this name; may be repeated.")
    ] = None,
    state: StateName = None,
    state_type: StateTypes = None,
    tag: Annotated[list[str] | None, typer.Option(help="Only runs with all of these tags.")] = None,
    limit: Limit = 15,
    output: Output = None,
) -> None:
    """List flow runs, those expected last first.

    Examples: `sempre flow-run ls --state-type FAILED --limit 50`, `sempre flow-run ls --flow-name etl -o json`
    """
    as_json = wants_json(output)
    api = open_api()
    criteria: Json = state_criteria(state, state_type)
    if tag:
        criteria["tags"] = {"all_": tag}
    body: Json = {"sort": "EXPECTED_START_TIME_DESC", "flow_runs": criteria}
    if flow_name:
        body["flows"] = {"name": any_of(*flow_name)}
    if deployment:
        body["deployments"] = {"name": any_of(*deployment)}
    found = read_list(api, "/flow_runs/filter", body, limit)
    report(as_json, found, lambda: _print_runs(api, found))


def _print_runs(api: Api, found: list[Json]) -> None:
    flows = names_by_id(api, "/flows/filter", "flows", [run["flow_id"] for run in found])
    print_table(
        ("ID", "Flow", "Name", "State", "When"),
        [
            (
                run["id"],
                flows.get(run["flow_id"], ""),
                run["name"],
                run["state_name"] or "",
                ago((run["state"] or {}).get("timestamp")),
            )
            for run in found
        ],
    )


@app.command()
def inspect(
    run: _One,
    web: Annotated[bool, typer.Option("--web", help="Open the run in the browser instead.")] = False,
    output: Output = None,
) -> None:
    """Show everything that is known about a flow run.

    Examples: `sempre flow-run inspect brave-otter`, `sempre flow-run inspect 0190a3... -o json`
    """
    as_json = wants_json(output)
    api = open_api()
    found = find(api, FLOW_RUN, run)
    if web:
        url = f"{ui_url(client_settings(), api.url)}/runs/flow-run/{found['id']}"
        open_in_browser(url)
        report(as_json, {"url": url}, url)
        return
    report(as_json, found, lambda: print_sheet(found))


@app.command()
def delete(runs: _Some, yes: Yes = False, output: Output = None) -> None:
    """Delete flow runs, with their task runs, states and logs. A run that is under way is not stopped by that.

    Example: `sempre flow-run delete brave-otter calm-heron`
    """
    as_json = wants_json(output)
    api = open_api()
    found = each(runs, lambda called: find(api, FLOW_RUN, called), "Looking up")
    confirm_on_terminal(f"Delete {', '.join(repr(run['name']) for run in found)}?", yes=yes)

    def remove(run: Json) -> Json:
        try:
            api.delete(f"/flow_runs/{run['id']}")
        except NotFound:
            raise missing(FLOW_RUN, run["id"]) from None
        return {"id": run["id"], "name": run["name"]}

    gone = each(found, remove, "Deleting")
    report(as_json, {"deleted": gone}, "\n".join(f"Deleted flow run {run['name']!r} ({run['id']})." for run in gone))


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
    """Show the logs of a flow run and its tasks, oldest first.

    Examples: `sempre flow-run logs brave-otter --tail -n 50`, `sempre flow-run logs brave-otter --follow`

    `--follow` shows what is there and then every new line until the run has ended. With `-o json` each line of output
    is one log then.
    """
    as_json = wants_json(output)
    api = open_api()
    found = find(api, FLOW_RUN, run)
    show_logs(
        api, "flow_run", found, head=head, tail=tail, num_logs=num_logs, reverse=reverse, follow=follow, as_json=as_json
    )


@app.command()
def cancel(runs: _Some, output: Output = None) -> None:
    """Cancel flow runs: what has not begun is cancelled at once, what runs is asked to stop.

    Example: `sempre flow-run cancel brave-otter`. Exit codes: 0 all are being cancelled, 1 one could not be.
    """
    as_json = wants_json(output)
    api = open_api()
    found = each(runs, lambda called: find(api, FLOW_RUN, called), "Looking up")
    answers = each(found, lambda run: _propose(api, run, {"type": "CANCELLING"}), "Cancelling")
    after = [api.get(f"/flow_runs/{run['id']}") for run in found]
    refused = [(run, answer) for run, answer in zip(after, answers, strict=True) if answer["status"] == "ABORT"]
    going = [run for run, answer in zip(after, answers, strict=True) if answer["status"] != "ABORT"]
    report(as_json, after if len(after) > 1 else after[0], "\n".join(map(_cancelled, going)) if going else _nothing)
    if refused:
        raise CliError("\n".join(_not_cancelled(run, answer) for run, answer in refused))


def _nothing() -> None:
    """There is nothing to say beside the errors."""


def _cancelled(run: Json) -> str:
    if run["state_type"] == "CANCELLED":
        return f"Cancelled flow run {run['name']!r} ({run['id']}); it had not begun."
    return (
        f"Flow run {run['name']!r} ({run['id']}) is asked to stop; follow it with `sempre flow-run watch {run['id']}`."
    )


def _not_cancelled(run: Json, answer: Json) -> str:
    reason = (answer.get("details") or {}).get("reason") or "the server gave no reason"
    return f"Flow run {run['name']!r} ({run['id']}) was not cancelled: {reason} It is {state_in_words(run)}."


def _propose(api: Api, run: Json, state: Json) -> Json:
    answer: Json = api.post(f"/flow_runs/{run['id']}/set_state", {"state": state, "force": False})
    return answer


@app.command()
def retry(
    run: _One,
    entrypoint: Annotated[
        str | None, typer.Option("--entrypoint", "-e", help="Where the flow is, to run it here: flows.py:my_flow")
    ] = None,
    output: Output = None,
) -> None:
    """Run a flow run that has ended again: the same run, with its parameters; finished tasks with persisted results are
    not repeated.

    Examples: `sempre flow-run retry brave-otter`, `sempre flow-run retry calm-heron --entrypoint etl.py:load`

    A run of a deployment is scheduled, and a worker picks it up. One that was called from a script is run here and now
    with `--entrypoint`; the exit code is 0 only if it completes then.
    """
    as_json = wants_json(output)
    api = open_api()
    found = find(api, FLOW_RUN, run)
    if found["state_type"] not in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
        raise CliError(
            f"Flow run {found['name']!r} ({found['id']}) is {state_in_words(found)} and cannot be retried before it "
            "has ended. `sempre flow-run cancel` ends it."
        )
    called = f"Flow run {found['name']!r} ({found['id']})"
    if not found["deployment_id"] and not entrypoint:
        raise CliError(
            f"{called} belongs to no deployment, so no worker would pick it up. Run it here with "
            "`--entrypoint flows.py:my_flow`, or call the flow again where it was called."
        )
    if found["deployment_id"] and entrypoint:
        raise CliError(f"{called} belongs to a deployment, so a worker picks it up. Retry it without --entrypoint.")
    if entrypoint:  # nobody else would take it up, so it is not scheduled: it goes on from where it ended
        raise typer.Exit(execute_here(api, found, entrypoint, as_json))
    message = "Retried with the command line."
    answer = _propose(api, found, {"type": "SCHEDULED", "name": "Scheduled", "message": message})
    if answer["status"] in ("ABORT", "REJECT"):
        reason = (answer.get("details") or {}).get("reason") or "the server gave no reason"
        raise CliError(f"{called} is not retried: {reason}")
    after = api.get(f"/flow_runs/{found['id']}")
    report(as_json, after, f"{called} is scheduled again.")


@app.command()
def execute(
    run: Annotated[
        str | None, typer.Argument(metavar="ID", help="The run's id. By default what SEMPRE__FLOW_RUN_ID says.")
    ] = None,
) -> None:
    """Execute a flow run in this process, as containers that workers start do.

    Example: `sempre flow-run execute 0190a3f2-...`. Exit codes: 0 the server knows how the run ended, 1 it could not be
    executed, 143 after SIGTERM. With SEMPRE_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR=reschedule a SIGTERM hands the run back
    and the code is 0, with `relinquish` the run is left to the process that is started next, and the code is 1.
    """
    from sempre.sdk.execute import main

    if run is not None and not is_id(run):
        raise CliError(f"{run!r} is no id of a flow run; `sempre flow-run ls` shows them.")
    raise typer.Exit(main([] if run is None else [run]))


@app.command()
def watch(
    run: _One,
    timeout: Annotated[float | None, typer.Option("--timeout", "-t", help="Give up after so many seconds.")] = None,
    output: Output = None,
) -> None:
    """Follow a flow run, its states and logs, until it has ended.

    Example: `sempre flow-run watch brave-otter --timeout 600`. Exit codes: 0 it completed, 1 anything else. With
    `-o json` the run as it ended is printed, and nothing before that.
    """
    as_json = wants_json(output)
    api = open_api()
    found: dict[str, Any] = find(api, FLOW_RUN, run)
    raise typer.Exit(watch_run(api, found, timeout=timeout, as_json=as_json))
