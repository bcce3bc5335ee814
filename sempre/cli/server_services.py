"""`sempre server services`: the background services on their own."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from sempre.cli.glance import look_at_database
from sempre.cli.output import Output, fail, print_json, print_table, wants_json
from sempre.server.settings import Settings, load_settings

app = typer.Typer(no_args_is_help=True, help="Run background services in a process of their own; run several for HA.")

_STARTED = "The background services are running."
_STARTUP_FAILED = 3


@app.command("ls")
@app.command("list", hidden=True)
def ls(output: Output = None) -> None:
    """List all services: what each does, whether it is enabled, its switch, who runs it now, when it last completed a
    round, and how far behind it is.

    Examples: `sempre server services ls`, `sempre server services ls -o json`

    All but the switches is read from the database; without it the list is shown without that. A turn is behind by the
    time since it was due; what reads the event log by the events it has not read, and the age of the first of them.
    """
    from sempre.server.services.listing import list_services

    as_json = wants_json(output)
    settings = load_settings()
    found, problem = look_at_database(settings, lambda db: list_services(settings, db))
    if found is None:
        found = asyncio.run(list_services(settings))
        typer.secho(f"Who runs them is not known: {problem}", fg=typer.colors.YELLOW, err=True)
    if as_json:
        print_json(found)
        return
    now = datetime.now(UTC)
    print_table(
        ("Name", "Enabled", "Every", "Runs on", "Last completed", "Behind", "Switch and description"),
        (
            (
                each["name"],
                "yes" if each["enabled"] else "no",
                "always" if each["interval"] is None else _duration(each["interval"]),
                "\n".join(each["running_on"]),
                _last_run(each["last_run"], now),
                _behind(each["behind"]),
                f"{each['environment_variable']}\n{each['description']}",
            )
            for each in found
        ),
    )


def _last_run(run: dict[str, Any] | None, now: datetime) -> str:
    if run is None:
        return ""
    completed = run["completed"]
    ago = f"{_duration(max(0.0, (now - completed).total_seconds()))} ago" if completed else "never"
    by = f"\nby {run['owner']}" if run["owner"] else ""
    failed = f"\nsince then failed: {run['error']}" if run["error"] else ""
    return f"{ago}{by}{failed}"


def _behind(behind: dict[str, Any] | None) -> str:
    """In words; the odd second before a turn is taken is none."""
    if behind is None:
        return ""
    if "overdue_seconds" in behind:
        return _duration(behind["overdue_seconds"]) if behind["overdue_seconds"] >= 1 else ""
    ((what, number),) = [item for item in behind.items() if item[0] != "oldest_seconds"]
    if not number:
        return ""
    oldest = behind["oldest_seconds"]
    return f"{number} {what}" + (f",\noldest {_duration(oldest)}" if oldest is not None else "")


def _duration(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size or seconds == size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds:.1f} s"


@app.command("start")
@app.command("enable", hidden=True)
def start(
    background: Annotated[bool, typer.Option("--background", "-b", help="Detach once they run.")] = False,
) -> None:
    """Run all enabled services in this process, without an API.

    Start as many copies as you like: they share the work, and any of them may be killed at any time. Give all of them
    and the API the same Postgres.

    Example: `SEMPRE_SERVER_DATABASE_CONNECTION_URL=postgresql://sempre:secret@db/sempre sempre server services start`

    Exit codes: 0 stopped as asked, 1 not startable, 3 start-up failed.
    """
    settings = load_settings()
    _require_one(settings)
    if background:
        _start_in_background(settings)
        return
    raise typer.Exit(_run(settings))


def _require_one(settings: Settings) -> None:
    from sempre.server.services.registry import enabled_services

    if not enabled_services(settings):
        fail("No services are enabled! `sempre server services ls` shows the switch of each.")


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
    """Stop the services that run in the background; what they hold is handed back first.

    Example: `sempre server services stop`. Services in the foreground stop with Ctrl-C.
    """
    from sempre.server.background import BackgroundProcess

    settings = load_settings()
    patience = settings.services.drain_seconds + 15
    stopped = BackgroundProcess(settings.home, "services").stop(patience)
    if stopped is False:
        fail(f"The services are still stopping after {patience:g} s.")
    typer.echo("Stopped the services." if stopped else "No services running in the background.")
