"""`sempre deployment`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sempre.cli import deployment_schedule
from sempre.cli.connection import open_api
from sempre.cli.deployment_run import run
from sempre.cli.errors import CliError
from sempre.cli.find import DEPLOYMENT, find, find_deployment
from sempre.cli.lists import any_of, names_by_id, read_list
from sempre.cli.moments import ago
from sempre.cli.output import Output, Yes, confirm_on_terminal, print_sheet, print_table, report, wants_json
from sempre.cli.progress import each
from sempre.cli.rest import Api, Json
from sempre.cli.schedules import schedule_in_words

app = typer.Typer(no_args_is_help=True, help="Run, schedule, apply and inspect deployments.")
app.add_typer(deployment_schedule.app, name="schedule")
app.add_typer(deployment_schedule.app, name="schedules", hidden=True)
app.command("run")(run)

_Name = Annotated[str, typer.Argument(metavar="FLOW/DEPLOYMENT|ID", help="Its full name, or its id.")]


@app.command("ls")
def ls(
    flow_name: Annotated[
        list[str] | None,
        typer.Option("--flow-name", "--flow_name", help="Only deployments of this flow; may be repeated."),
    ] = None,
    by_created: Annotated[bool, typer.Option("--by-created", help="The newest first, instead of by name.")] = False,
    limit: Annotated[int | None, typer.Option("--limit", "-l", min=1, help="Show at most so many.")] = None,
    output: Output = None,
) -> None:
    """List deployments.

    Example: `sempre deployment ls --flow-name etl --by-created`
    """
    as_json = wants_json(output)
    api = open_api()
    body: Json = {"sort": "CREATED_DESC" if by_created else "NAME_ASC"}
    if flow_name:
        body["flows"] = {"name": any_of(*flow_name)}
    found = read_list(api, "/deployments/filter", body, limit)
    report(as_json, found, lambda: _print_deployments(api, found))


def _print_deployments(api: Api, found: list[Json]) -> None:
    flows = names_by_id(api, "/flows/filter", "flows", [each["flow_id"] for each in found])
    print_table(
        ("Name", "ID", "Schedules", "Work pool", "Status", "Updated"),
        [
            (
                f"{flows.get(each['flow_id'], '?')}/{each['name']}",
                each["id"],
                "\n".join(schedule_in_words(item) for item in each["schedules"]),
                each["work_pool_name"] or "",
                "paused" if each["paused"] else (each["status"] or ""),
                ago(each["updated"]),
            )
            for each in found
        ],
    )


@app.command()
def inspect(deployment: _Name, output: Output = None) -> None:
    """Show everything that is known about a deployment.

    Example: `sempre deployment inspect etl/nightly -o json`
    """
    as_json = wants_json(output)
    found = find_deployment(open_api(), deployment)
    report(as_json, found, lambda: print_sheet(found))


@app.command()
def delete(
    deployment: Annotated[
        str | None, typer.Argument(metavar="[FLOW/DEPLOYMENT]", help="Its full name, or its id.")
    ] = None,
    by_id: Annotated[str | None, typer.Option("--id", help="Its id.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Delete all deployments.")] = False,
    yes: Yes = False,
    output: Output = None,
) -> None:
    """Delete a deployment, or all of them. Runs that it had stay; those that were only scheduled go with it.

    Examples: `sempre deployment delete etl/nightly`, `sempre deployment delete --all -y`
    """
    as_json = wants_json(output)
    if sum((deployment is not None, by_id is not None, every)) != 1:
        raise CliError("Give one of: the deployment's name, --id, --all.")
    api = open_api()
    if every:
        found = read_list(api, "/deployments/filter", {"sort": "NAME_ASC"})
        confirm_on_terminal(f"Delete all {len(found)} deployments?", yes=yes)
    else:
        found = [find(api, DEPLOYMENT, by_id) if by_id else find_deployment(api, deployment or "")]
        confirm_on_terminal(f"Delete the deployment {deployment or by_id}?", yes=yes)
    each(found, lambda one: api.delete(f"/deployments/{one['id']}"), "Deleting")
    gone = [{"id": one["id"], "name": one["name"]} for one in found]
    lines = [f"Deleted deployment {one['name']!r} ({one['id']})." for one in gone]
    report(as_json, {"deleted": gone}, "\n".join(lines) or "No deployments found.")


@app.command("apply")
def apply(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="YAML or JSON; `-` is standard input (YAML or JSON).")
    ],
    output: Output = None,
) -> None:
    """Create or change deployments as files say. Applying again changes nothing.

    Example: `sempre deployment apply nightly.yaml`, with

    `{flow: etl, name: nightly, entrypoint: "etl.py:main", work_pool_name: default, schedules: [{schedule: {cron:
    "0 3 * * *", timezone: Europe/Berlin}}]}`

    A file holds one deployment or a list of them: `flow` (a name) and the fields of the API's deployments. What
    `sempre deployment inspect -o json` prints can be applied, too.
    """
    from sempre.cli.deployment_apply import apply_files

    as_json = wants_json(output)
    outcomes = apply_files(open_api(), files)
    documents = [outcome.document for outcome in outcomes]
    report(
        as_json,
        documents,
        "\n".join(f"{outcome.verb} {outcome.name} ({outcome.document['id']})" for outcome in outcomes),
    )
