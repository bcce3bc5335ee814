"""`sempre dashboard`."""

from __future__ import annotations

import typer

from sempre.cli.connection import client_settings, open_api, ui_url
from sempre.cli.output import Output, open_in_browser, report, wants_json

app = typer.Typer(no_args_is_help=True, help="Open the web UI.")


@app.callback()
def dashboard() -> None:
    """Makes a group of it, although it has one command."""


@app.command("open")
def open_(output: Output = None) -> None:
    """Open the web UI of the server in a browser, and print its address.

    Example: `sempre dashboard open`
    """
    as_json = wants_json(output)
    url = ui_url(client_settings(), open_api().url)
    open_in_browser(url)
    report(as_json, {"url": url}, url)
