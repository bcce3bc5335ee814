"""`sempre deploy`: deployments of this directory's project file, or of one flow, made known to the server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sempre.cli.deploy_changes import Changes
from sempre.cli.deploy_questions import asks, choose, offer_to_keep, question_entrypoint, question_name, question_pool
from sempre.cli.errors import CliError
from sempre.cli.output import Output, report, wants_json
from sempre.cli.rest import Json
from sempre.cli.users_code import errors_in_words, here, impatient, output_aside

app = typer.Typer()

_Texts = list[str] | None


@app.command()
def deploy(
    entrypoint: Annotated[
        str | None, typer.Argument(metavar="[FILE:FLOW]", help="The flow: `flows/etl.py:etl`, `package.module:etl`.")
    ] = None,
    name: Annotated[
        _Texts,
        typer.Option(
            "--name", "-n", help="The deployment, or `flow/deployment`; `*` stands for anything; may be repeated."
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All deployments of the project file.")] = False,
    pool: Annotated[str | None, typer.Option("--pool", "-p", help="The work pool whose workers run it.")] = None,
    work_queue: Annotated[str | None, typer.Option("--work-queue", "-q", help="The queue of the work pool.")] = None,
    job_variable: Annotated[
        _Texts, typer.Option("--job-variable", "-jv", help="`name=value` for the infrastructure; may be repeated.")
    ] = None,
    description: Annotated[str | None, typer.Option("--description", "-d", help="What it is for.")] = None,
    version: Annotated[str | None, typer.Option("--version", help="Its version; else a hash of the file.")] = None,
    version_type: Annotated[
        str | None, typer.Option("--version-type", help="What kind of version that is: `vcs:git`, `prefect:simple`.")
    ] = None,
    tag: Annotated[_Texts, typer.Option("--tag", "-t", help="A tag; may be repeated.")] = None,
    concurrency_limit: Annotated[
        int | None, typer.Option("--concurrency-limit", "-cl", min=1, help="Most runs at once.")
    ] = None,
    collision_strategy: Annotated[
        str | None, typer.Option("--collision-strategy", help="What runs beyond it do: ENQUEUE, CANCEL_NEW.")
    ] = None,
    cron: Annotated[_Texts, typer.Option("--cron", help="When it runs: `0 3 * * *`; may be repeated.")] = None,
    interval: Annotated[_Texts, typer.Option("--interval", help="Every so often: `60`, `2 hours`.")] = None,
    anchor_date: Annotated[str | None, typer.Option("--anchor-date", help="What intervals are counted from.")] = None,
    rrule: Annotated[_Texts, typer.Option("--rrule", help="A rule of RFC 5545: `FREQ=DAILY;BYHOUR=3`.")] = None,
    timezone: Annotated[str | None, typer.Option("--timezone", help="Whose clock schedules go by.")] = None,
    trigger: Annotated[
        _Texts, typer.Option("--trigger", help="Events to run upon, as JSON, or a file of JSON or YAML.")
    ] = None,
    param: Annotated[_Texts, typer.Option("--param", help="`name=value`, a value in JSON; may be repeated.")] = None,
    params: Annotated[str | None, typer.Option("--params", help="All parameters as JSON; `-` reads them.")] = None,
    enforce_parameter_schema: Annotated[
        bool | None,
        typer.Option(
            "--enforce-parameter-schema/--no-enforce-parameter-schema",
            help="Whether parameters of runs are checked.",
            show_default=False,
        ),
    ] = None,
    sla: Annotated[_Texts, typer.Option("--sla", hidden=True)] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "--prefect-file", help="The project file.  [default: sempre.yaml]")
    ] = None,
    no_prompt: Annotated[bool, typer.Option("--no-prompt", help="Ask nothing.")] = False,
    output: Output = None,
) -> None:
    """Create or change deployments, as the project file and the flags say.

    Examples: `sempre deploy --all`, `sempre deploy -n 'etl/*' -n report`,
    `sempre deploy flows/etl.py:etl -n nightly -p my-pool --cron '0 3 * * *' --timezone Europe/Berlin`

    Without a flow and a name it takes the only deployment of the file, or asks.
    """
    _refuse(sla)
    as_json = wants_json(output)
    changes = Changes(
        pool=pool, work_queue=work_queue, job_variables=job_variable, description=description, version=version,
        version_type=version_type, tags=tag, concurrency_limit=concurrency_limit, collision_strategy=collision_strategy,
        cron=cron, interval=interval, anchor_date=anchor_date, rrule=rrule, timezone=timezone, triggers=trigger,
        param=param, params=params, enforce_parameter_schema=enforce_parameter_schema,
    )  # fmt: skip
    impatient()
    here()
    with errors_in_words():
        deployed = _deploy(entrypoint, name or [], every, changes, file, asks(no_prompt or as_json), as_json)
    report(as_json, deployed, lambda: None)


def _refuse(sla: list[str] | None) -> None:
    if sla:
        from sempre.sdk.deploying.options import NO_SLA

        raise CliError(f"--sla: {NO_SLA}")


def _deploy(
    entrypoint: str | None,
    names: list[str],
    every: bool,
    changes: Changes,
    file: Path | None,
    may_ask: bool,
    as_json: bool,
) -> list[Json]:
    from sempre.sdk.deploying.project.carrying_out import carry_out
    from sempre.sdk.deploying.project.file import ProjectFile, find_project_file, read_project_file

    path = file or find_project_file()
    project = ProjectFile() if path is None else read_project_file(path)
    wanted = _wanted(project, entrypoint, names, every, may_ask)
    if changes and len(wanted) > 1:
        raise CliError(f"These flags are for one deployment, and {len(wanted)} are meant: {', '.join(changes.flags)}.")
    deployed = []
    for described in wanted:
        whole = changes.onto(described)
        if may_ask and not (whole.get("work_pool") or {}).get("name"):
            whole = Changes(pool=question_pool()).onto(whole)
        with output_aside(as_json):
            found = carry_out(project, whole, typer.echo)
        deployed.append({"id": str(found.id), "name": found.name, "work_pool": found.work_pool})
        if not as_json:
            typer.echo(f"Deployed {found.name} to the work pool {found.work_pool!r} ({found.id}).")
        if may_ask and described.get("work_pool") is None and described not in project.deployments:
            offer_to_keep(path, whole)
    if not as_json and deployed:
        typer.echo(f"Start a worker: sempre worker start --pool {deployed[0]['work_pool']!r}")
        typer.echo(f"Start a run: sempre deployment run {deployed[0]['name']!r}")
    return deployed


def _wanted(project: Any, entrypoint: str | None, names: list[str], every: bool, may_ask: bool) -> list[dict[str, Any]]:
    """What the file and the arguments describe: deployments of the file, or a new one."""
    from sempre.sdk.deploying.project.selection import matches, select

    there = project.deployments
    if every:
        if entrypoint or names:
            raise CliError("--all means every deployment of the project file; say neither a flow nor a name with it.")
        if not there:
            raise CliError(
                "There is no deployment in the project file. `sempre deploy FILE:FLOW -n NAME` adds none "
                "to it, but deploys a flow."
            )
        return list(there)
    if entrypoint is not None:
        if len(names) > 1:
            raise CliError("One flow is deployed under one name.")
        called = names[0] if names else question_name() if may_ask else None
        if called is None:
            raise CliError("Say what the deployment is to be called: --name NAME.")
        known = [each for each in there if matches(each, called)]
        return [{**(known[0] if known else {"name": called}), "entrypoint": entrypoint}]
    if names:
        return [dict(each) for each in select(there, names)]
    if len(there) == 1:
        return list(there)
    if not may_ask:
        several = f"One of {', '.join(str(each.get('name')) for each in there)}: --name. Or all of them: --all."
        raise CliError(several if there else "Say which flow to deploy: sempre deploy FILE:FLOW --name NAME.")
    return [choose(there)] if there else [{"entrypoint": question_entrypoint(), "name": question_name()}]
