"""What the demo says: lines with the time since its start, tables, and the report of a failure."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime

from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape
from rich.panel import Panel
from rich.status import Status
from rich.table import Table

from examples.demo.api import Json
from examples.demo.errors import DemoError, tail

_COLOURS = {"COMPLETED": "green", "FAILED": "red", "CRASHED": "red", "RUNNING": "blue", "CANCELLED": "yellow"}


class Show:
    """Output to a terminal, or plain lines to a pipe."""

    def __init__(self) -> None:
        plain = Console()
        self.console = plain if plain.is_terminal else Console(width=120)
        self._began = time.monotonic()

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._began

    def step(self, text: str) -> None:
        """Something was done."""
        self._line("[green]✓[/]", text)

    def note(self, text: str) -> None:
        """Something happened."""
        self._line("[yellow]•[/]", text)

    def _line(self, sign: str, text: str) -> None:
        self.console.print(f"[dim]{self.elapsed:6.1f} s[/] {sign} {text}", highlight=False)

    def waiting(self, text: str) -> AbstractContextManager[Status]:
        """A spinner with a text that may be updated; nothing on a pipe."""
        return self.console.status(text)

    def report(self, text: str, title: str) -> None:
        """An artifact's Markdown, in a frame."""
        self.console.print(Panel(Markdown(text), title=title, title_align="left", border_style="dim"))

    def runs(self, rows: Iterable[tuple[Json, Sequence[Json]]]) -> None:
        """A table of flow runs, each with its task runs."""
        table = Table(title="Runs", title_justify="left", title_style="bold", header_style="bold")
        for column, justify in (("Run", "left"), ("Asked for by", "left"), ("State", "left"), ("Started", "left")):
            table.add_column(column, justify=justify)  # type: ignore[arg-type]
        for column in ("Duration", "Tasks", "Retries"):
            table.add_column(column, justify="right")
        for run, tasks in rows:
            state = run["state"]
            colour = _COLOURS.get(state["type"], "white")
            table.add_row(
                f"{run['id'][:8]} {escape(run['name'])}",
                "schedule" if run["auto_scheduled"] else "demo",
                f"[{colour}]{state['name']}[/]",
                f"{datetime.fromisoformat(run['start_time']).astimezone():%H:%M:%S}" if run["start_time"] else "",
                f"{run['total_run_time']:.1f} s",
                str(len(tasks)),
                str(sum(max(0, task["run_count"] - 1) for task in tasks)),
            )
        self.console.print(table)

    def failure(self, error: DemoError) -> None:
        """What went wrong, and the ends of the logs."""
        for log in error.logs:
            if text := tail(log):
                self.console.rule(str(log), style="dim")
                self.console.print(text, markup=False, highlight=False)
        self.console.print(Panel(escape(str(error)), title="The demo failed", border_style="red", title_align="left"))
