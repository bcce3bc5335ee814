"""`sempre work-pool`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from sempre.cli.connection import open_api
from sempre.cli.errors import CliError
from sempre.cli.find import WORK_POOL, find, find_if_there
from sempre.cli.lists import any_of, names_by_id, read_list
from sempre.cli.moments import ago, parse_moment
from sempre.cli.output import (
    Output,
    Yes,
    confirm_on_terminal,
    print_json,
    print_sheet,
    print_table,
    report,
    wants_json,
)
from sempre.cli.rest import Api, Json, seg
from sempre.cli.values import read_document, write_document

app = typer.Typer(no_args_is_help=True, help="Create and steer work pools.")
storage = typer.Typer(no_args_is_help=True, help="Where a pool keeps the code that it is given.")
app.add_typer(storage, name="storage")

_Name = Annotated[str, typer.Argument(metavar="NAME", help="The pool's name.")]
_STORAGES = ("s3", "gcs", "azure-blob-storage")
_Template = Annotated[
    Path | None, typer.Option("--base-job-template", help="A file of JSON or YAML with the pool's job template.")
]


@app.command("ls")
def ls(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show descriptions, too.")] = False,
    output: Output = None,
) -> None:
    """List work pools.

    Example: `sempre work-pool ls -v`
    """
    as_json = wants_json(output)
    found = sorted(read_list(open_api(), "/work_pools/filter"), key=lambda pool: str(pool["name"]))
    columns = ("Name", "Type", "ID", "Limit", "In use", "Status", *(("Description",) if verbose else ()))
    rows = [
        (
            pool["name"],
            pool["type"],
            pool["id"],
            _number(pool["concurrency_limit"]),
            _number(pool.get("active_slots")),
            "PAUSED" if pool["is_paused"] else (pool["status"] or ""),
            *((pool["description"] or "",) if verbose else ()),
        )
        for pool in found
    ]
    report(as_json, found, lambda: print_table(columns, rows))


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


@app.command("create")
def create(
    name: _Name,
    kind: Annotated[
        str | None, typer.Option("--type", "-t", help="How its workers run things: process, docker, kubernetes, ...")
    ] = None,
    base_job_template: _Template = None,
    paused: Annotated[bool, typer.Option("--paused", help="Nothing is run until it is resumed.")] = False,
    set_as_default: Annotated[
        bool, typer.Option("--set-as-default", help="Deployments of this profile go to it unless they say otherwise.")
    ] = False,
    description: Annotated[str | None, typer.Option("--description", help="What it is for.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Change the pool if there is one already.")] = False,
    output: Output = None,
) -> None:
    """Create a work pool.

    Examples: `sempre work-pool create mine --type process`,
    `sempre work-pool create k8s -t kubernetes --base-job-template job.json`
    """
    as_json = wants_json(output)
    if kind is None and not overwrite:
        raise CliError("Say with --type how the pool's workers run things, for instance `--type process`.")
    api = open_api()
    before = find_if_there(api, WORK_POOL, name)
    if before and not overwrite:
        raise CliError(f"Work pool {name!r} already exists. `--overwrite` changes it, `sempre work-pool update` too.")
    if before and kind and kind != before["type"]:
        raise CliError(f"Work pool {name!r} is of type {before['type']!r}, which cannot be changed; delete it first.")
    kind = kind or (before or {}).get("type") or "process"
    template = read_document(base_job_template) if base_job_template else default_template(api, kind)
    body: Json = {"base_job_template": template, "is_paused": paused}
    if description is not None:
        body["description"] = description
    if before:
        api.patch(f"/work_pools/{seg(name)}", body)
    else:
        api.post("/work_pools/", {**body, "name": name, "type": kind})
    if set_as_default:
        _set_default(name)
    after = api.get(f"/work_pools/{seg(name)}")
    done = "Changed" if before else "Created"
    text = f"{done} work pool {name!r}. Start a worker with `sempre worker start --pool {name}`."
    report(as_json, after, text)


def _set_default(name: str) -> None:
    from sempre.cli.profiles import change_profile

    change_profile({"SEMPRE_DEPLOYMENTS_DEFAULT_WORK_POOL_NAME": name})


def default_template(api: Api, kind: str) -> Json:
    """The job template that comes with a type of workers. Raises CliError for a type that nobody offers."""
    types: dict[str, Json] = {}
    for offered in api.get("/collections/views/aggregate-worker-metadata").values():
        types |= {name: entry for name, entry in offered.items() if isinstance(entry, dict)}
    if kind not in types:
        raise CliError(f"Unknown work pool type {kind!r}; there are: {', '.join(sorted(types))}.")
    template: Json = types[kind]["default_base_job_configuration"]
    return template


@app.command("get-default-base-job-template")
def get_default_base_job_template(
    kind: Annotated[str, typer.Option("--type", "-t", help="A type of work pools, such as kubernetes.")],
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Write it into this file.")] = None,
) -> None:
    """Print the job template that pools of a type begin with, as JSON, to change it and create a pool with it.

    Example: `sempre work-pool get-default-base-job-template -t kubernetes -f job.json`
    """
    template = default_template(open_api(), kind)
    if file is None:
        print_json(template)
    else:
        write_document(file, template)
        typer.echo(f"Wrote {file}.")


@app.command()
def inspect(name: _Name, output: Output = None) -> None:
    """Show everything about a work pool, its job template too.

    Example: `sempre work-pool inspect mine -o json`
    """
    as_json = wants_json(output)
    found = find(open_api(), WORK_POOL, name)
    report(as_json, found, lambda: print_sheet(found))


@app.command()
def pause(name: _Name, output: Output = None) -> None:
    """Pause a work pool: its workers get no more runs until it is resumed.

    Example: `sempre work-pool pause mine`
    """
    _change(name, {"is_paused": True}, f"Paused work pool {name!r}.", output)


@app.command()
def resume(name: _Name, output: Output = None) -> None:
    """Resume a work pool.

    Example: `sempre work-pool resume mine`
    """
    _change(name, {"is_paused": False}, f"Resumed work pool {name!r}.", output)


@app.command()
def update(
    name: _Name,
    base_job_template: _Template = None,
    concurrency_limit: Annotated[
        int | None, typer.Option("--concurrency-limit", min=0, help="How many runs it may have at once.")
    ] = None,
    description: Annotated[str | None, typer.Option("--description", help="What it is for.")] = None,
    output: Output = None,
) -> None:
    """Change what is named of a work pool; everything else stays.

    Example: `sempre work-pool update mine --concurrency-limit 10 --description 'for the nights'`
    """
    body: dict[str, Any] = {"concurrency_limit": concurrency_limit, "description": description}
    body = {key: value for key, value in body.items() if value is not None}
    if base_job_template:
        body["base_job_template"] = read_document(base_job_template)
    if not body:
        raise CliError("Nothing to change: give --base-job-template, --concurrency-limit or --description.")
    _change(name, body, f"Changed work pool {name!r}.", output)


@app.command("set-concurrency-limit")
def set_concurrency_limit(
    name: _Name,
    limit: Annotated[int, typer.Argument(metavar="LIMIT", min=0, help="How many runs it may have at once.")],
    output: Output = None,
) -> None:
    """Limit how many runs of a work pool go on at once.

    Example: `sempre work-pool set-concurrency-limit mine 10`
    """
    _change(name, {"concurrency_limit": limit}, f"Work pool {name!r} may have {limit} runs at once.", output)


@app.command("clear-concurrency-limit")
def clear_concurrency_limit(name: _Name, output: Output = None) -> None:
    """Lift the limit of a work pool.

    Example: `sempre work-pool clear-concurrency-limit mine`
    """
    _change(name, {"concurrency_limit": None}, f"Work pool {name!r} may have any number of runs at once.", output)


def _change(name: str, body: Json, text: str, output: str | None) -> None:
    as_json = wants_json(output)
    api = open_api()
    find(api, WORK_POOL, name)
    api.patch(f"/work_pools/{seg(name)}", body)
    report(as_json, api.get(f"/work_pools/{seg(name)}") if as_json else None, text)


@app.command()
def delete(name: _Name, yes: Yes = False, output: Output = None) -> None:
    """Delete a work pool with its queues. Deployments that used it stay and have none.

    Example: `sempre work-pool delete mine -y`
    """
    as_json = wants_json(output)
    api = open_api()
    found = find(api, WORK_POOL, name)
    confirm_on_terminal(f"Delete the work pool {name!r}?", yes=yes)
    api.delete(f"/work_pools/{seg(name)}")
    report(as_json, {"deleted": [{"id": found["id"], "name": name}]}, f"Deleted work pool {name!r}.")


@app.command()
def slots(name: _Name, output: Output = None) -> None:
    """Show how many slots of a work pool and of its queues are in use.

    Example: `sempre work-pool slots mine`
    """
    as_json = wants_json(output)
    api = open_api()
    find(api, WORK_POOL, name)
    status: Json = api.post(f"/work_pools/{seg(name)}/concurrency_status")
    report(as_json, status, lambda: print_sheet(status))


@app.command()
def preview(
    name: _Name,
    hours: Annotated[float, typer.Option("--hours", "-h", min=0, help="How far to look ahead.")] = 24,
    output: Output = None,
) -> None:
    """List the runs that a work pool has to start within the next hours.

    Example: `sempre work-pool preview mine -h 12`
    """
    as_json = wants_json(output)
    api = open_api()
    find(api, WORK_POOL, name)
    print_upcoming(api, upcoming(api, {"work_pools": {"name": any_of(name)}}, hours), as_json)


def upcoming(api: Api, body: Json, hours: float) -> list[Json]:
    """Scheduled runs of the next hours, and those that are late already, the first to start first."""
    from datetime import UTC, datetime, timedelta

    until = datetime.now(UTC) + timedelta(hours=hours)
    criteria = {
        "state": {"type": any_of("SCHEDULED")},
        "next_scheduled_start_time": {"before_": until.isoformat()},
    }
    found = read_list(
        api, "/flow_runs/filter", {**body, "flow_runs": criteria, "sort": "NEXT_SCHEDULED_START_TIME_ASC"}
    )
    return sorted(found, key=lambda run: parse_moment(run["next_scheduled_start_time"]))


def print_upcoming(api: Api, found: list[Json], as_json: bool) -> None:
    def show() -> None:
        if not found:
            typer.echo("Nothing is waiting.")
            return
        deployments = names_by_id(api, "/deployments/filter", "deployments", [run["deployment_id"] for run in found])
        rows = [
            (
                ago(run["next_scheduled_start_time"]),
                run["id"],
                run["name"],
                deployments.get(run["deployment_id"] or "", ""),
                run["work_queue_name"] or "",
            )
            for run in found
        ]
        print_table(("Start", "Run", "Name", "Deployment", "Queue"), rows)

    report(as_json, found, show)


@app.command("provision-infrastructure")
def provision_infrastructure(name: _Name) -> None:
    """Say how a pool gets its infrastructure: nothing is created in anybody's cloud by this server.

    Example: `sempre work-pool provision-infrastructure mine`
    """
    found = find(open_api(), WORK_POOL, name)
    raise CliError(
        f"Work pool {name!r} is of type {found['type']!r}: its runs are started by workers, and neither they nor this "
        "server create clusters, registries or roles in a cloud account. Create what it needs with your own tools, "
        f"then start a worker there: `sempre worker start --pool {name}`."
    )


app.command("provision-infra", hidden=True)(provision_infrastructure)


@storage.command("configure")
def storage_configure(
    kind: Annotated[str, typer.Argument(metavar="s3|gcs|azure-blob-storage", help="The kind of storage.")],
    name: _Name,
) -> None:
    """Say where code of deployments is kept instead: a pool has no storage of its own here.

    Example: `sempre work-pool storage configure s3 mine`
    """
    if kind not in _STORAGES:
        raise CliError(f"Unknown kind of storage {kind!r}; there are: {', '.join(_STORAGES)}.")
    find(open_api(), WORK_POOL, name)
    raise CliError(
        f"Work pool {name!r} cannot keep code itself: that is for flows submitted without a deployment, which workers "
        "of this server do not unpack. Name the place of the code in the deployment (pull steps, or "
        "`flow.from_source(...)`), and that of results with `result_storage`."
    )


@storage.command("inspect")
def storage_inspect(name: _Name, output: Output = None) -> None:
    """Show the storage configuration of a work pool.

    Example: `sempre work-pool storage inspect mine`
    """
    as_json = wants_json(output)
    found = find(open_api(), WORK_POOL, name)["storage_configuration"] or {}
    set_up = {key: value for key, value in found.items() if value is not None}
    report(as_json, found, json.dumps(set_up, indent=2) if set_up else f"Work pool {name!r} has no storage of its own.")
