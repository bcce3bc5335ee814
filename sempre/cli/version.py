"""`sempre version`."""

from __future__ import annotations

import platform
import sys
from typing import Annotated, Any

import typer

from sempre import __version__
from sempre.cli.glance import api_url, auth_string, database_in_words, get, look_at_database
from sempre.cli.output import Output, print_json, wants_json
from sempre.server.admin.versions import API_VERSION, PROTOCOL_VERSION
from sempre.server.settings import Settings, SettingsError, load_settings

app = typer.Typer()

_SERVER_SECONDS = 2.0


@app.command()
def version(
    omit_integrations: Annotated[bool, typer.Option("--omit-integrations", hidden=True)] = False,
    output: Output = None,
) -> None:
    """Show the versions of this command, of the protocol it speaks, of the server, and of Postgres.

    The server is the one of SEMPRE_API_URL, in the environment or the profile, else the one these settings would start;
    the database is the one of these settings. What does not run has no version.

    Example: `sempre version -o json`
    """
    as_json = wants_json(output)
    facts: dict[str, Any] = {
        "version": __version__,
        "api_version": API_VERSION,
        "protocol_version": PROTOCOL_VERSION,
        "python_version": platform.python_version(),
        "platform": f"{sys.platform}/{platform.machine()}",
    }
    try:
        settings = load_settings()
    except SettingsError as error:
        facts["database"] = f"settings cannot be used: {error}"
    else:
        facts |= _server(settings) | _database(settings)
    if as_json:
        print_json(facts)
        return
    for label, value in facts.items():
        typer.echo(f"{label.replace('_', ' ').capitalize() + ':':<18} {'-' if value is None else value}")


def _server(settings: Settings) -> dict[str, Any]:
    """Its address and version; a version of None says that it does not answer, or not to us."""
    api = api_url(settings)
    try:
        found = get(f"{api}/admin/version", auth_string(settings), timeout=_SERVER_SECONDS)
    except (OSError, ValueError):
        found = None
    return {"server": api, "server_version": found}


def _database(settings: Settings) -> dict[str, Any]:
    found, _ = look_at_database(settings, lambda db: db.fetchval("SHOW server_version"))
    return {"database": database_in_words(settings), "postgres_version": found}
