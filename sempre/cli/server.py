"""`sempre server`: start, stop, status."""

from __future__ import annotations

import contextlib
import time
import urllib.error
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from sempre.cli import server_database, server_services
from sempre.cli.glance import api_url, auth_string, database_in_words, get, local_api, reachable_host
from sempre.cli.output import Output, fail, print_json, wants_json
from sempre.server.settings import Settings, load_settings

app = typer.Typer(no_args_is_help=True, help="Run the server, its services and its database.")
app.add_typer(server_services.app, name="services")
app.add_typer(server_database.app, name="database")

_STARTUP_FAILED = 3


@app.command()
def start(
    host: Annotated[str | None, typer.Option(help="Address to listen on. [SEMPRE_SERVER_API_HOST]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on. [SEMPRE_SERVER_API_PORT]")] = None,
    keep_alive_timeout: Annotated[
        float | None, typer.Option("--keep-alive-timeout", help="Seconds an idle connection is kept.")
    ] = None,
    log_level: Annotated[str | None, typer.Option(help="DEBUG, INFO, WARNING, ERROR or CRITICAL.")] = None,
    scheduler: Annotated[
        bool | None, typer.Option("--scheduler/--no-scheduler", help="Turn schedules into runs.", show_default=False)
    ] = None,
    late_runs: Annotated[
        bool | None, typer.Option("--late-runs/--no-late-runs", help="Mark late runs.", show_default=False)
    ] = None,
    ui: Annotated[bool | None, typer.Option("--ui/--no-ui", help="Serve the web UI.", show_default=False)] = None,
    no_services: Annotated[
        bool, typer.Option("--no-services", help="API only; run `sempre server services start` beside it.")
    ] = False,
    background: Annotated[bool, typer.Option("--background", "-b", help="Detach once it answers.")] = False,
    workers: Annotated[
        int, typer.Option(help="API processes on one port. With more than one, services get a process of their own.")
    ] = 1,
    analytics: Annotated[
        bool | None, typer.Option("--analytics-on/--analytics-off", hidden=True, help="Nothing is ever sent.")
    ] = None,
) -> None:
    """Start the server: API, services and, unless a Postgres is configured, an embedded one.

    Nothing else needs to be installed. For high availability give every copy the same Postgres
    (SEMPRE_SERVER_DATABASE_CONNECTION_URL) and start as many as you like; `--no-services` and
    `sempre server services start` separate the API from background work.

    Examples:

    `sempre server start` on this machine, `sempre server start --host 0.0.0.0 --port 4200 --workers 4` for others,
    `sempre server start -b` to get the terminal back.

    Exit codes: 0 stopped as asked, 1 the port is taken or a setting is wrong, 3 start-up failed.
    """
    overrides = {
        "api.host": host,
        "api.port": port,
        "api.keepalive_timeout_seconds": keep_alive_timeout,
        "logging.level": log_level,
        "services.scheduler.enabled": scheduler,
        "services.late_runs.enabled": late_runs,
        "ui.enabled": ui,
        "webserver_only": True if no_services else None,
    }
    if workers < 1:
        fail("Number of workers must be >= 1")
    settings = load_settings(overrides=overrides)
    if background:
        _start_in_background(settings, overrides, workers)
        return
    raise typer.Exit(_run(settings, workers))


def _run(settings: Settings, workers: int) -> int:
    # The server's libraries are loaded by the command that needs them.
    from sempre.db.embedded import EmbeddedPostgresError
    from sempre.server.process import bind, configure_logging, serve_api, with_database
    from sempre.server.workers import Supervisor

    configure_logging(settings)
    services = not settings.webserver_only
    with contextlib.closing(bind(settings.api.host, settings.api.port)) as listener:
        port = listener.getsockname()[1]
        try:
            with with_database(settings) as ready:

                def announce() -> None:
                    typer.echo(_banner(settings, port, services, workers), err=True)

                if workers > 1:
                    return Supervisor(ready, listener, workers, services, announce).run()
                return serve_api(ready, listener, services=services, started=announce)
        except EmbeddedPostgresError as error:
            typer.secho(f"Error: {error}", fg=typer.colors.RED, err=True)
            return _STARTUP_FAILED


def _banner(settings: Settings, port: int, services: bool, workers: int) -> str:
    base = f"http://{reachable_host(settings.api.host)}:{port}"
    api = f"{base}{settings.api.base_path}"
    parts = [f"{workers} API processes" if workers > 1 else "API", *(["services"] if services else [])]
    lines = [
        ("API", api),
        ("Docs", f"{base}/docs"),
        ("Database", database_in_words(settings)),
        ("Running", " and ".join(parts)),
        ("Clients", f"PREFECT_API_URL={api}"),
    ]
    return "\n".join(["", "Sempre is playing.", *(f"  {label:<9} {text}" for label, text in lines), ""])


def _start_in_background(settings: Settings, overrides: dict[str, Any], workers: int) -> None:
    from sempre.server.background import BackgroundProcess
    from sempre.server.process import bind

    bind(settings.api.host, settings.api.port).close()  # a taken port is said here, not in a log
    flags = {"host": "api.host", "port": "api.port", "keep-alive-timeout": "api.keepalive_timeout_seconds",
             "log-level": "logging.level"}  # fmt: skip
    switches = {
        "scheduler": "services.scheduler.enabled",
        "late-runs": "services.late_runs.enabled",
        "ui": "ui.enabled",
    }
    arguments = ["server", "start", "--workers", str(workers)]
    for flag, path in flags.items():
        if overrides[path] is not None:
            arguments += [f"--{flag}", str(overrides[path])]
    for flag, path in switches.items():
        if overrides[path] is not None:
            arguments.append(f"--{flag}" if overrides[path] else f"--no-{flag}")
    if overrides["webserver_only"]:
        arguments.append("--no-services")
    api = local_api(settings)
    process = BackgroundProcess(settings.home, "server")
    pid = process.start(arguments, lambda: _health(api)[0], timeout=120.0)
    typer.echo(f"The server runs in the background (pid {pid}).")
    typer.echo(f"  API       {api}\n  Log       {process.log_file}\n  Stop      sempre server stop")


@app.command()
def stop() -> None:
    """Stop the server that runs in the background, and an embedded database that killed processes left behind.

    Requests in flight are finished first. Example: `sempre server stop`; 0 also when nothing runs.
    """
    from sempre.db.embedded import stop_embedded
    from sempre.server.background import BackgroundProcess

    settings = load_settings()
    patience = settings.api.shutdown_drain_seconds + settings.api.shutdown_grace_seconds + 30
    stopped = BackgroundProcess(settings.home, "server").stop(patience)
    if stopped is False:
        fail(f"The server is still stopping after {patience:g} s; see `sempre server status`.")
    typer.echo("Stopped the server." if stopped else "No server running in the background.")
    if settings.database.connection_url is None and stop_embedded(settings.home):
        typer.echo("Stopped the embedded database that was left running.")


def _health(api: str) -> tuple[bool, str]:
    """(whether the API is healthy, what is wrong)."""
    try:
        return get(f"{api}/health") is True, ""
    except urllib.error.HTTPError as error:
        return False, f"{api}/health answers {error.code}"
    except (OSError, ValueError) as error:
        return False, f"{api}/health cannot be reached: {getattr(error, 'reason', error)}"


@app.command()
def status(
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the server is available.")] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", "-t", min=0, help="Longest wait in seconds; 0 waits for ever.")
    ] = 0,
    output: Output = None,
) -> None:
    """Ask the server whether it is available: 0 when it is, 1 otherwise.

    The server is the one of SEMPRE_API_URL, in the environment or the profile, else the one these settings would start.

    Example: `sempre server status --wait -t 60 && ./deploy.sh`
    """
    as_json = wants_json(output)
    settings = load_settings()
    api = api_url(settings)
    healthy, problem = False, ""
    for _ in _attempts(wait, timeout):
        healthy, problem = _health(api)
        if healthy:
            break
    facts = {"status": "available" if healthy else "timed_out" if wait else "unavailable", "api_url": api}
    if healthy:
        # The version may ask for credentials that this process does not have.
        with contextlib.suppress(OSError, ValueError):
            facts["server_version"] = get(f"{api}/admin/version", auth_string(settings))
    else:
        facts["error"] = problem
    if as_json:
        print_json(facts)
    elif healthy:
        version = f" (version {facts['server_version']})" if "server_version" in facts else ""
        typer.echo(f"The server at {api} is available{version}.")
    else:
        typer.echo(f"The server is not available: {problem}")
    raise typer.Exit(0 if healthy else 1)


def _attempts(wait: bool, timeout: float) -> Iterator[None]:
    """One attempt, or one a second until the time is over."""
    deadline = time.monotonic() + timeout
    yield
    while wait and (timeout == 0 or time.monotonic() < deadline):
        time.sleep(1.0 if timeout == 0 else max(0.0, min(1.0, deadline - time.monotonic())))
        yield
