"""What a Docker engine tells while it builds and pushes: its lines, and on a terminal how far each layer is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, TextIO

__all__ = ["EngineLines", "shown"]

Event = Mapping[str, Any]


class EngineLines:
    """The lines of a build come in pieces; those of a push are whole."""

    def __init__(self) -> None:
        self._piece = ""

    def of(self, event: Event) -> list[str]:
        """The lines that the event completes, without empty ones."""
        if event.get("status") and not event.get("id"):
            return [str(event["status"])]
        *lines, self._piece = (self._piece + str(event.get("stream") or "")).replace("\r", "\n").split("\n")
        if event.get("errorDetail") or event.get("error"):  # nothing comes after it
            lines.append(self._piece)
        return [line.rstrip() for line in lines if line.strip()]


class Progress(Protocol):
    def line(self, text: str) -> None: ...

    def layer(self, event: Event) -> None: ...


@contextmanager
def shown(stream: TextIO | None) -> Iterator[Progress]:
    """Where to show it: a terminal, a file (without what changes all the time), or nowhere."""
    if stream is None:
        yield _Nowhere()
    elif stream.isatty():
        with _Terminal.opened(stream) as terminal:
            yield terminal
    else:
        yield _File(stream)


class _Nowhere:
    def line(self, text: str) -> None:
        """Nobody wants to know."""

    def layer(self, event: Event) -> None:
        """Nobody wants to know."""


class _File(_Nowhere):
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def line(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()


class _Terminal:
    """Lines above, a bar for each layer below, until the end."""

    def __init__(self, bars: Any) -> None:
        self._bars = bars
        self._tasks: dict[str, Any] = {}

    @classmethod
    @contextmanager
    def opened(cls, stream: TextIO) -> Iterator[_Terminal]:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
        with Progress(*columns, console=Console(file=stream), transient=True) as bars:
            yield cls(bars)

    def line(self, text: str) -> None:
        self._bars.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def layer(self, event: Event) -> None:
        id, status = event.get("id"), event.get("status")
        if not id or not status:
            return
        if id not in self._tasks:
            self._tasks[id] = self._bars.add_task("", total=None)
        detail = event.get("progressDetail") or {}
        # The engine counts what it packs, which may be more than the total that it announced.
        total = max(detail.get("total") or 0, detail.get("current") or 0) or None
        self._bars.update(self._tasks[id], description=f"{id} {status}", completed=detail.get("current"), total=total)
