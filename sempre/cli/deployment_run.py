"""`sempre deployment run`: a run of a deployment, now or later, and following it."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from sempre.cli.connection import client_settings, open_api, ui_url
from sempre.cli.errors import CliError
from sempre.cli.find import DEPLOYMENT, find, find_deployment
from sempre.cli.moments import ago, parse_duration, parse_time
from sempre.cli.output import Output, report, wants_json
from sempre.cli.rest import Json
from sempre.cli.values import parse_object, parse_pairs
from sempre.cli.watching import watch_run


def run(
    deployment: Annotated[
        str | None, typer.Argument(metavar="[FLOW/DEPLOYMENT]", help="The deployment's full name, or its id.")
    ] = None,
    by_id: Annotated[str | None, typer.Option("--id", help="The deployment's id.")] = None,
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", help="`name=value`, a value in JSON; may be repeated.")
    ] = None,
    params: Annotated[str | None, typer.Option("--params", help="All parameters as JSON; `-` reads them.")] = None,
    job_variable: Annotated[
        list[str] | None,
        typer.Option("--job-variable", "-jv", help="`name=value` for the infrastructure; may be repeated."),
    ] = None,
    start_in: Annotated[str | None, typer.Option("--start-in", help="Run after this time: `90`, `2 hours`.")] = None,
    start_at: Annotated[
        str | None, typer.Option("--start-at", help="Run at this time: `tomorrow 9:00`, `2026-12-01T09:00+01:00`.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", help="A tag for the run; may be repeated.")] = None,
    flow_run_name: Annotated[str | None, typer.Option("--flow-run-name", help="A name for the run.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow the run to its end.")] = False,
    watch_interval: Annotated[
        float, typer.Option("--watch-interval", min=0.1, help="Seconds between two looks at it.")
    ] = 1.0,
    watch_timeout: Annotated[
        float | None, typer.Option("--watch-timeout", help="Stop following after so many seconds.")
    ] = None,
    output: Output = None,
) -> None:
    """Create a run of a deployment, for a worker to pick up.

    Examples: `sempre deployment run etl/nightly -p day='"2026-12-01"' --watch`,
    `sempre deployment run etl/nightly --start-at 'tomorrow 9:00' --params '{"n": 3}'`

    Exit codes: 0 it was created, or with `--watch` completed; 1 otherwise.
    """
    as_json = wants_json(output)
    if (deployment is None) == (by_id is None):
        raise CliError("Give either the deployment's name or --id.")
    parameters = _parameters(param, params)
    api = open_api()
    found = find(api, DEPLOYMENT, by_id) if by_id else find_deployment(api, deployment or "")
    _check_names(found, parameters)
    body: dict[str, Any] = {
        "parameters": parameters,
        "tags": tag or [],
        "state": _state(start_in, start_at),
        # Should the answer be lost, asking again finds the same run.
        "idempotency_key": f"sempre-cli-{uuid.uuid4()}",
    }
    if job_variable:
        body["job_variables"] = parse_pairs(job_variable, "--job-variable")
    if flow_run_name:
        body["name"] = flow_run_name
    created: Json = api.post(f"/deployments/{found['id']}/create_flow_run", body)
    url = f"{ui_url(client_settings(), api.url)}/runs/flow-run/{created['id']}"
    when = ago((created.get("state") or {}).get("state_details", {}).get("scheduled_time"))
    if as_json and not watch:
        report(True, created, "")
        return
    typer.echo(f"Created flow run {created['name']!r} ({created['id']}), to start {when}.\n{url}", err=as_json)
    if watch:
        code = watch_run(api, created, timeout=watch_timeout, as_json=as_json, interval=watch_interval)
        raise typer.Exit(code)


def _parameters(pairs: list[str] | None, text: str | None) -> dict[str, Any]:
    all_at_once = parse_object(text, "--params") if text is not None else {}
    one_by_one = parse_pairs(pairs, "--param")
    twice = sorted(all_at_once.keys() & one_by_one.keys())
    if twice:
        raise CliError(f"{', '.join(twice)} is given by --param and by --params.")
    return {**all_at_once, **one_by_one}


def _check_names(deployment: Json, parameters: dict[str, Any]) -> None:
    """Say which names exist before the API refuses the run, or a flow fails on it hours later."""
    schema = deployment.get("parameter_openapi_schema") or {}
    known = schema.get("properties")
    if known is None:
        return
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        there = ", ".join(sorted(known)) or "none"
        raise CliError(f"{deployment['name']!r} has no parameter {', '.join(unknown)}; its parameters are: {there}.")


def _state(start_in: str | None, start_at: str | None) -> Json:
    if start_in and start_at:
        raise CliError("Either --start-in or --start-at, not both.")
    moment = datetime.now(UTC)
    if start_in:
        moment += parse_duration(start_in)
    elif start_at:
        moment = parse_time(start_at)
    return {"type": "SCHEDULED", "state_details": {"scheduled_time": moment.isoformat()}}
