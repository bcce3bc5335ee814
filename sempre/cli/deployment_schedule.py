"""`sempre deployment schedule`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sempre.cli.connection import open_api
from sempre.cli.errors import CliError, NotFound
from sempre.cli.find import find_deployment
from sempre.cli.lists import read_list
from sempre.cli.output import Output, Yes, confirm_on_terminal, print_table, report, wants_json
from sempre.cli.progress import each
from sempre.cli.rest import Api, Json
from sempre.cli.schedules import build_schedule, schedule_in_words

app = typer.Typer(no_args_is_help=True, help="Say when a deployment runs by itself.")

_Name = Annotated[str, typer.Argument(metavar="FLOW/DEPLOYMENT|ID", help="The deployment's full name, or its id.")]
_MaybeName = Annotated[
    str | None, typer.Argument(metavar="[FLOW/DEPLOYMENT]", help="The deployment's full name, or its id.")
]
_MaybeSchedule = Annotated[str | None, typer.Argument(metavar="[SCHEDULE]", help="The schedule's id, or its slug.")]
_Every = Annotated[bool, typer.Option("--all", help="All schedules of all deployments.")]


@app.command("ls")
def ls(deployment: _Name, output: Output = None) -> None:
    """List the schedules of a deployment.

    Example: `sempre deployment schedule ls etl/nightly`
    """
    as_json = wants_json(output)
    found = find_deployment(open_api(), deployment)["schedules"]
    rows = [(item["id"], item.get("slug") or "", schedule_in_words(item), _switch(item)) for item in found]
    report(as_json, found, lambda: print_table(("ID", "Slug", "Schedule", "Active"), rows))


def _switch(item: Json) -> str:
    return "yes" if item["active"] else "no"


@app.command("create")
def create(
    deployment: _Name,
    interval: Annotated[str | None, typer.Option("--interval", help="Seconds, or for instance `15 minutes`.")] = None,
    anchor_date: Annotated[
        str | None, typer.Option("--anchor-date", help="A time that intervals are counted from.  [default: now]")
    ] = None,
    rrule: Annotated[str | None, typer.Option("--rrule", help="A rule of RFC 5545: `FREQ=DAILY;BYHOUR=3`.")] = None,
    cron: Annotated[str | None, typer.Option("--cron", help="A cron line: `0 3 * * *`.")] = None,
    day_or: Annotated[
        bool,
        typer.Option(
            "--day-or/--day-and",
            "--day_or",
            help="Whether day of month and day of week of a cron line are alternatives.",
        ),
    ] = True,
    timezone: Annotated[str | None, typer.Option("--timezone", help="For instance Europe/Berlin.")] = None,
    active: Annotated[bool, typer.Option("--active/--no-active", help="Whether it runs from now on.")] = True,
    replace: Annotated[bool, typer.Option("--replace", help="Delete the schedules that were there.")] = False,
    yes: Yes = False,
    output: Output = None,
) -> None:
    """Add a schedule to a deployment.

    Examples: `sempre deployment schedule create etl/nightly --cron '0 3 * * *' --timezone Europe/Berlin`,
    `sempre deployment schedule create etl/hourly --interval '1 hour' --replace -y`
    """
    as_json = wants_json(output)
    schedule = build_schedule(
        interval=interval, cron=cron, rrule=rrule, anchor_date=anchor_date, day_or=day_or, timezone=timezone
    )
    api = open_api()
    found = find_deployment(api, deployment)
    before = found["schedules"] if replace else []
    if before:
        confirm_on_terminal(f"Replace the {_count(len(before))} of {deployment}?", yes=yes)
    path = f"/deployments/{found['id']}/schedules"
    # The new one first: a slip in it leaves the deployment as it was.
    (made,) = api.post(path, [{"schedule": schedule, "active": active}])
    each(before, lambda item: _remove(api, path, item), "Deleting")
    replaced = f" It replaces {_count(len(before))}." if before else ""
    report(as_json, made, f"{deployment} runs {schedule_in_words(made)} ({made['id']}).{replaced}")


def _count(number: int) -> str:
    return f"{number} schedule{'s' if number != 1 else ''}"


def _remove(api: Api, path: str, item: Json) -> None:
    try:
        api.delete(f"{path}/{item['id']}")
    except NotFound:
        return  # somebody was faster


@app.command("delete")
def delete(
    deployment: _Name,
    schedule: Annotated[str, typer.Argument(metavar="SCHEDULE", help="The schedule's id, or its slug.")],
    yes: Yes = False,
    output: Output = None,
) -> None:
    """Delete a schedule, and the runs that it made and that have not begun.

    Example: `sempre deployment schedule delete etl/nightly 0190a3f2-... -y`
    """
    as_json = wants_json(output)
    api = open_api()
    found = find_deployment(api, deployment)
    item = _schedule(found, deployment, schedule)
    confirm_on_terminal(f"Delete the schedule {schedule_in_words(item)} of {deployment}?", yes=yes)
    _remove(api, f"/deployments/{found['id']}/schedules", item)
    report(as_json, {"deleted": [item]}, f"Deleted the schedule {schedule_in_words(item)} of {deployment}.")


@app.command("clear")
def clear(deployment: _Name, yes: Yes = False, output: Output = None) -> None:
    """Delete all schedules of a deployment.

    Example: `sempre deployment schedule clear etl/nightly -y`
    """
    as_json = wants_json(output)
    api = open_api()
    found = find_deployment(api, deployment)
    gone = found["schedules"]
    confirm_on_terminal(f"Delete the {_count(len(gone))} of {deployment}?", yes=yes)
    each(gone, lambda item: _remove(api, f"/deployments/{found['id']}/schedules", item), "Deleting")
    report(as_json, {"deleted": gone}, f"Deleted {_count(len(gone))} of {deployment}.")


@app.command("pause")
def pause(
    deployment: _MaybeName = None, schedule: _MaybeSchedule = None, every: _Every = False, output: Output = None
) -> None:
    """Pause a schedule, or all of them: no more runs come from it until it is resumed.

    Examples: `sempre deployment schedule pause etl/nightly 0190a3f2-...`, `sempre deployment schedule pause --all`
    """
    _switch_to(False, deployment, schedule, every, wants_json(output))


@app.command("resume")
def resume(
    deployment: _MaybeName = None, schedule: _MaybeSchedule = None, every: _Every = False, output: Output = None
) -> None:
    """Resume a schedule, or all of them.

    Examples: `sempre deployment schedule resume etl/nightly 0190a3f2-...`, `sempre deployment schedule resume --all`
    """
    _switch_to(True, deployment, schedule, every, wants_json(output))


def _switch_to(active: bool, deployment: str | None, schedule: str | None, every: bool, as_json: bool) -> None:
    if every and (deployment or schedule):
        raise CliError("Cannot specify deployment name or schedule ID with --all")
    if every:
        _switch_all(active, as_json)
        return
    if not deployment or not schedule:
        raise CliError("Must provide deployment name and schedule ID, or use --all")
    api = open_api()
    found = find_deployment(api, deployment)
    item = _schedule(found, deployment, schedule)
    done = "resumed" if active else "paused"
    if item["active"] == active:
        raise CliError(f"The schedule {schedule} of {deployment} is {'active' if active else 'paused'} already.")
    api.patch(f"/deployments/{found['id']}/schedules/{item['id']}", {"active": active})
    report(as_json, {**item, "active": active}, f"{done.capitalize()} the schedule {schedule} of {deployment}.")


def _switch_all(active: bool, as_json: bool) -> None:
    api = open_api()
    deployments = read_list(api, "/deployments/filter", {"sort": "NAME_ASC"})
    wrong = [(one, item) for one in deployments for item in one["schedules"] if item["active"] != active]

    def switch(pair: tuple[Json, Json]) -> Json | None:
        one, item = pair
        try:
            api.patch(f"/deployments/{one['id']}/schedules/{item['id']}", {"active": active})
        except NotFound:
            return None  # deleted meanwhile: nothing to pause any more
        return {**item, "active": active}

    changed: list[Any] = [item for item in each(wrong, switch, "Resuming" if active else "Pausing") if item]
    if not deployments:
        text = "No deployments found."
    elif not wrong:
        text = "No inactive schedules found to resume." if active else "No active schedules found to pause."
    else:
        of = len({item["deployment_id"] for item in changed})
        done = "Resumed" if active else "Paused"
        text = f"{done} {_count(len(changed))} of {of} deployment{'s' if of != 1 else ''}."
    report(as_json, changed, text)


def _schedule(deployment: Json, called: str, schedule: str) -> Json:
    for item in deployment["schedules"]:
        if schedule in (item["id"], item.get("slug")):
            found: Json = item
            return found
    raise CliError(
        f"Deployment {called} has no schedule {schedule!r}. `sempre deployment schedule ls {called}` lists them."
    )
