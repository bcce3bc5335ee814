"""`sempre server services`: the background services on their own."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

import typer

from sempre.cli.output import Output, fail, print_json, print_table, wants_json
from sempre.server.settings import Settings, describe, load_settings

app = typer.Typer(no_args_is_help=True, help="Run background services in a process of their own; run several for HA.")

_STARTED = "The background services are running."
_STARTUP_FAILED = 3


def services_of(settings: Settings) -> list[dict[str, Any]]:
    """Every service: `name`, `enabled`, `environment_variable`, `description`."""
    found = []
    for info in describe():
        group, _, rest = info.path.partition(".")
        name, _, leaf = rest.partition(".")
        if group != "services" or leaf != "enabled":
            continue
        section = getattr(settings.services, name)
        found.append(
            {
                "name": name,
                "enabled": bool(section.enabled),
                "environment_variable": info.name,
                "description": inspect.cleandoc(type(section).__doc__ or ""),
            }
        )
    return found


@app.command("ls")
@app.command("list", hidden=True)
def ls(output: Output = None) -> None:
    """List all services, whether each is enabled, and the variable that decides it."""
    as_json = wants_json(output)
    found = services_of(load_settings())
    if as_json:
        print_json(found)
        return
    print_table(
        ("Name", "Enabled", "Variable", "Description"),
        (
            (each["name"], "yes" if each["enabled"] else "no", each["environment_variable"], each["description"])
            for each in found
        ),
    )


@app.command("start")
@app.command("enable", hidden=True)
def start(
    background: Annotated[bool, typer.Option("--background", "-b", help="Detach once they run.")] = False,
) -> None:
    """Run all enabled services in this process, without an API.

    Start as many copies as you like: they share the work, and any of them may be killed at any time.

    Exit codes: 0 stopped as asked, 1 not startable, 3 start-up failed.
    """
    settings = load_settings()
    if not any(service["enabled"] for service in services_of(settings)):
        fail("No services are enabled!")
    if background:
        _start_in_background(settings)
        return
    raise typer.Exit(_run(settings))


def _run(settings: Settings) -> int:
    # The server's libraries are loaded by the command that needs them.
    from sempre.db.embedded import EmbeddedPostgresError
    from sempre.server.process import configure_logging, serve_services, with_database

    configure_logging(settings)
    try:
        with with_database(settings) as ready:
            return serve_services(ready, lambda: typer.echo(_STARTED, err=True))
    except EmbeddedPostgresError as error:
        typer.secho(f"Error: {error}", fg=typer.colors.RED, err=True)
        return _STARTUP_FAILED


def _start_in_background(settings: Settings) -> None:
    from sempre.server.background import BackgroundProcess

    process = BackgroundProcess(settings.home, "services")
    offset = process.log_file.stat().st_size if process.log_file.exists() else 0
    pid = process.start(["server", "services", "start"], lambda: _STARTED in process.tail(offset, 1000), timeout=120.0)
    typer.echo(f"The services run in the background (pid {pid}). Log: {process.log_file}")


@app.command("stop")
@app.command("disable", hidden=True)
def stop() -> None:
    """Stop the services that run in the background; what they hold is handed back first."""
    from sempre.server.background import BackgroundProcess

    settings = load_settings()
    patience = settings.services.drain_seconds + 5
    stopped = BackgroundProcess(settings.home, "services").stop(patience)
    if stopped is False:
        fail(f"The services are still stopping after {patience:g} s.")
    typer.echo("Stopped the services." if stopped else "No services running in the background.")
