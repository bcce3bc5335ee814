"""`sempre flow serve`: runs of one flow, executed here."""

from __future__ import annotations

from typing import Annotated

import typer

from sempre.cli.deploy_changes import Changes
from sempre.cli.users_code import errors_in_words, here


def serve(
    entrypoint: Annotated[str, typer.Argument(metavar="FILE:FLOW", help="The flow: `flows/etl.py:etl`.")],
    name: Annotated[str, typer.Option("--name", "-n", help="What the deployment is called.")],
    description: Annotated[str | None, typer.Option("--description", "-d", help="What it is for.")] = None,
    version: Annotated[str | None, typer.Option("--version", "-v", help="Its version.")] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", "-t", help="A tag; may be repeated.")] = None,
    cron: Annotated[str | None, typer.Option("--cron", help="When it runs: `0 3 * * *`.")] = None,
    interval: Annotated[str | None, typer.Option("--interval", help="Every so often: `60`, `2 hours`.")] = None,
    anchor_date: Annotated[
        str | None, typer.Option("--interval-anchor", help="What intervals are counted from.")
    ] = None,
    rrule: Annotated[str | None, typer.Option("--rrule", help="A rule of RFC 5545.")] = None,
    timezone: Annotated[str | None, typer.Option("--timezone", help="Whose clock schedules go by.")] = None,
    pause_on_shutdown: Annotated[
        bool,
        typer.Option("--pause-on-shutdown/--no-pause-on-shutdown", help="Schedules stand still once this ends."),
    ] = True,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Most runs at once here.")] = None,
    global_limit: Annotated[int | None, typer.Option("--global-limit", min=1, help="Most runs at once.")] = None,
) -> None:
    """Execute runs of a flow's deployment here, until Ctrl-C.

    Example: `sempre flow serve flows/etl.py:etl --name hourly --interval '1 hour'`
    """
    here()
    changes = Changes(
        cron=_one(cron), interval=_one(interval), rrule=_one(rrule), anchor_date=anchor_date, timezone=timezone
    )
    schedules = changes.onto({}).get("schedules")
    with errors_in_words():
        from sempre.sdk.deploying.runner_deployment import RunnerDeployment
        from sempre.sdk.deploying.serving import serve as serve_deployments

        deployment = RunnerDeployment.from_entrypoint(
            entrypoint,
            name,
            schedules=schedules,
            description=description,
            version=version,
            tags=tag,
            concurrency_limit=global_limit,
        )
        serve_deployments(deployment, pause_on_shutdown=pause_on_shutdown, limit=-1 if limit is None else limit)


def _one(text: str | None) -> list[str] | None:
    return None if text is None else [text]
