"""How commands speak: text for people, JSON for machines, one way to fail and one way to ask."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any, NoReturn

import typer

Output = Annotated[str | None, typer.Option("--output", "-o", help="`json` for machines; text otherwise.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]


def fail(message: str, code: int = 1) -> NoReturn:
    """Print an error and end the command with `code`."""
    typer.secho(f"Error: {message}", fg=typer.colors.RED, err=True)
    raise typer.Exit(code)


def wants_json(output: str | None) -> bool:
    """Whether `-o json` was given. Ends the command with 1 for another format."""
    if output is None:
        return False
    if output.lower() != "json":
        fail("Only 'json' output format is supported.")
    return True


def print_json(value: Any) -> None:
    """JSON on standard output, nothing else beside it."""
    typer.echo(json.dumps(value, indent=2, default=_plain))


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None) -> None:
    """A table on a terminal; on a pipe the same without colours, never cut off."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    console = Console() if sys.stdout.isatty() else Console(width=200)
    console.print(table)


def confirm(question: str, *, yes: bool) -> None:
    """Go on only with consent. Without `-y` and without a terminal to ask on, the command ends with 1."""
    if yes:
        return
    interactive = sys.stdin.isatty() and os.environ.get("SEMPRE__PROMPT") != "false"
    if not interactive and os.environ.get("SEMPRE__PROMPT") != "true":
        fail(f"{question} Cannot ask without a terminal; confirm with --yes.")
    typer.confirm(question, abort=True)
