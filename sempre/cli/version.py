"""`sempre version`."""

from __future__ import annotations

import platform
import sys

import typer

from sempre import __version__
from sempre.cli.output import Output, print_json, wants_json
from sempre.server.settings import Settings, SettingsError, load_settings

# The version of the wire protocol, which clients ask for by header.
API_VERSION = "0.8.4"

app = typer.Typer()


def database_in_words(settings: Settings) -> str:
    """Which database the settings lead to, without credentials."""
    url = settings.database.connection_url
    if url is None:
        return f"embedded Postgres under {settings.home / 'database'}"
    rest = url.partition("://")[2].partition("?")[0]
    return f"Postgres at {rest.rpartition('@')[2] or 'a local socket'}"


@app.command()
def version(output: Output = None) -> None:
    """Show the version of this command, of the API it serves, and the database its settings lead to.

    The database is the one of the local settings, not of a server elsewhere.
    """
    as_json = wants_json(output)
    try:
        database = database_in_words(load_settings())
    except SettingsError as error:
        database = f"settings cannot be used: {error}"
    facts = {
        "version": __version__,
        "api_version": API_VERSION,
        "python_version": platform.python_version(),
        "platform": f"{sys.platform}/{platform.machine()}",
        "database": database,
    }
    if as_json:
        print_json(facts)
        return
    for label, value in facts.items():
        typer.echo(f"{label.replace('_', ' ').capitalize() + ':':<16} {value}")
