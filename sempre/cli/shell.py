"""`sempre shell`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sempre.cli.connection import open_api

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
