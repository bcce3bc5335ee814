"""How commands speak: text for people, JSON for machines, one way to fail and one way to ask."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any, NoReturn

import typer

Output = Annotated[str | None, typer.Option("--output", "-o", help="`json` for machines; text otherwise.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", "--accept-yes", help="Do not ask for confirmation.")]

_COLORS = {
    "COMPLETED": "green", "FAILED": "red", "CRASHED": "red", "RUNNING": "blue", "SCHEDULED": "yellow",
    "PENDING": "yellow", "PAUSED": "magenta", "CANCELLED": "bright_black", "CANCELLING": "bright_black",
    "READY": "green", "NOT_READY": "red", "Late": "red",
}  # fmt: skip


def fail(message: str, code: int = 1) -> NoReturn:
    """Print an error and end the command with `code`."""
    typer.secho(f"Error: {message}", fg=typer.colors.RED, err=True)
    raise typer.Exit(code)


def warn(message: str) -> None:
    """Something worth knowing that stops nothing; on standard error."""
    typer.secho(message, fg=typer.colors.YELLOW, err=True)


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


def report(as_json: bool, document: Any, text: str | Callable[[], None]) -> None:
    """The document for machines, the text for people; `text` may also print by itself."""
    if as_json:
        print_json(document)
    elif callable(text):
        text()
    else:
        typer.echo(text)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None) -> None:
    """A table on a terminal; on a pipe the same without colours, never cut off."""
    found = [[str(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        typer.echo("\n".join([*([title] if title else []), *_plain_table(columns, found)]))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for row in found:
        # As Text, so that a name in brackets is no markup.
        table.add_row(*(Text(cell, style=_COLORS.get(cell.partition("\n")[0], "")) for cell in row))
    Console().print(table)


def _plain_table(columns: Sequence[str], rows: list[list[str]]) -> list[str]:
    lines = [[list(columns)]]
    for row in rows:
        cells = [cell.split("\n") for cell in row]
        height = max((len(cell) for cell in cells), default=0)
        lines.append([[cell[at] if at < len(cell) else "" for cell in cells] for at in range(height)])
    widths = [max(len(line[at]) for row in lines for line in row) for at in range(len(columns))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for row in lines
        for line in row
    ]


def print_sheet(document: dict[str, Any]) -> None:
    """One document, a field a line; what is nested is shown as JSON below its name."""
    width = max((len(name) for name in document), default=0)
    for name, value in document.items():
        shown = _cell(value)
        if "\n" in shown:
            typer.echo(f"{name}:")
            typer.echo("\n".join(f"    {line}" for line in shown.splitlines()))
        else:
            typer.echo(f"{name + ':':<{width + 1}} {shown}".rstrip())


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    short = json.dumps(value, default=_plain)
    return short if len(short) <= 100 else json.dumps(value, indent=2, default=_plain)


def open_in_browser(url: str) -> None:
    """Open a page for somebody who sits at a terminal; scripts only want the address."""
    if sys.stdout.isatty():
        typer.launch(url)


def confirm(question: str, *, yes: bool) -> None:
    """Go on only with consent. Without `-y` and without a terminal to ask on, the command ends with 1."""
    if yes:
        return
    interactive = sys.stdin.isatty() and os.environ.get("SEMPRE__PROMPT") != "false"
    if not interactive and os.environ.get("SEMPRE__PROMPT") != "true":
        fail(f"{question} Cannot ask without a terminal; confirm with --yes.")
    typer.confirm(question, abort=True)


def confirm_on_terminal(question: str, *, yes: bool) -> None:
    """Ask where somebody can answer; a script that gives the command means it."""
    wanted = os.environ.get("SEMPRE__PROMPT")
    if not yes and (wanted == "true" or (sys.stdin.isatty() and wanted != "false")):
        typer.confirm(question, abort=True)
