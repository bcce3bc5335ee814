"""`sempre shell`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sempre.cli.connection import open_api
from sempre.cli.errors import CliError

app = typer.Typer(no_args_is_help=True, help="Run shell commands as flow runs.")


@app.callback()
def shell() -> None:
    """Run shell commands as flow runs."""


@app.command()
def watch(
    command: Annotated[str, typer.Argument(metavar="COMMAND", help="What the shell is given, in quotes.")],
    log_output: Annotated[
        bool, typer.Option("--log-output/--no-log-output", help="Log what it prints, line by line.")
    ] = True,
    flow_run_name: Annotated[str | None, typer.Option("--flow-run-name", help="The run's name.")] = None,
    flow_name: Annotated[str, typer.Option("--flow-name", help="The name of the flow.")] = "Shell Command",
    stream_stdout: Annotated[
        bool, typer.Option("--stream-stdout/--no-stream-stdout", help="Show here what it prints.")
    ] = True,
    tag: Annotated[list[str] | None, typer.Option("--tag", help="A tag of the run; may be repeated.")] = None,
) -> None:
    """Run a command now, as a flow run that can be looked at and cancelled.

    Example: `sempre shell watch 'pg_dump shop > shop.sql' --tag backup`. Exit codes: 0 it ended with 0, else 1.
    """
    api = open_api()
    # The SDK takes its address from the settings; a server that was found running is none of theirs.
    from sempre import tags
    from sempre.sdk.shell_commands import run_shell_command
    from sempre.settings import temporary_settings

    options: dict[str, Any] = {"name": flow_name, "flow_run_name": flow_run_name}
    with temporary_settings({"api.url": api.url}), tags("shell", *(tag or ())):
        state = run_shell_command.with_options(**options)(
            command, log_output=log_output, stream_stdout=stream_stdout, return_state=True
        )
    if not state.is_completed():
        typer.echo(f"The flow run ended in state {state.name}: {state.message or ''}".rstrip(), err=True)
        raise typer.Exit(1)


@app.command()
def serve(
    command: Annotated[str, typer.Argument(metavar="COMMAND", help="What the shell is given, in quotes.")],
    flow_name: Annotated[str, typer.Option("--flow-name", help="The name of the flow.")],
    deployment_name: Annotated[
        str, typer.Option("--deployment-name", help="The name of the deployment.")
    ] = "CLI Runner Deployment",
    tag: Annotated[
        list[str] | None, typer.Option("--tag", "--deployment-tags", help="A tag of its runs; may be repeated.")
    ] = None,
    log_output: Annotated[
        bool, typer.Option("--log-output/--no-log-output", help="Log what it prints, line by line.")
    ] = True,
    stream_stdout: Annotated[
        bool, typer.Option("--stream-stdout/--no-stream-stdout", help="Show here what it prints.")
    ] = True,
    cron_schedule: Annotated[str | None, typer.Option("--cron-schedule", help="When it runs by itself.")] = None,
    timezone: Annotated[str | None, typer.Option("--timezone", help="Of the schedule.  [default: UTC]")] = None,
    concurrency_limit: Annotated[
        int | None, typer.Option("--concurrency-limit", min=1, help="Most runs at once, here.")
    ] = None,
    run_once: Annotated[
        bool, typer.Option("--run-once", help="Execute the runs that are due, then end; do not stay.")
    ] = False,
) -> None:
    """Make a deployment of a command and execute its runs, until Ctrl-C.

    Example: `sempre shell serve 'pg_dump shop > shop.sql' --flow-name backup --cron-schedule '0 3 * * *'`

    The first SIGTERM or Ctrl-C lets runs end and pauses the schedule, the second ends them. Exit codes: 0 stopped as
    asked, 1 the API cannot be used.
    """
    if timezone and not cron_schedule:
        raise CliError("--timezone is that of a schedule: give --cron-schedule too.")
    api = open_api()
    from sempre.client import ClientError
    from sempre.sdk.deploying.entrypoints import EntrypointType
    from sempre.sdk.deploying.schedules import Cron
    from sempre.sdk.serving.runner import Runner
    from sempre.sdk.shell_commands import run_shell_command
    from sempre.settings import temporary_settings

    with temporary_settings({"api.url": api.url}):
        runner = Runner() if concurrency_limit is None else Runner(limit=concurrency_limit)
        try:
            runner.add_flow(
                run_shell_command.with_options(name=flow_name),
                deployment_name,
                schedule=Cron(cron_schedule, timezone) if cron_schedule else None,
                parameters={"command": command, "log_output": log_output, "stream_stdout": stream_stdout},
                description=f"Runs `{command}`.",
                tags=["shell", *(tag or ())],
                entrypoint_type=EntrypointType.MODULE_PATH,
            )
        except (ClientError, ValueError) as error:  # a cron line that is none, for instance
            raise CliError(f"{flow_name}/{deployment_name} is not made: {error}") from error
        typer.echo(f"Serving {flow_name}/{deployment_name}: sempre deployment run '{flow_name}/{deployment_name}'")
        runner.start(run_once=run_once)
