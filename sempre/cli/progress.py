"""Doing one thing to many: several at a time, with a bar where somebody watches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 8


def each(items: Sequence[T], work: Callable[[T], R], label: str, at_once: int | None = None) -> list[R]:
    """`work` on every item, at most eight at a time; results in the order of the items.

    The first error ends it: what has not begun by then is not begun.
    """
    results: dict[int, R] = {}
    with bar(label, len(items)) as advance, ThreadPoolExecutor(at_once or AT_ONCE) as pool:
        futures = {pool.submit(work, item): index for index, item in enumerate(items)}
        try:
            for future in as_completed(futures):
                results[futures[future]] = future.result()
                advance()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [results[index] for index in range(len(items))]


@contextmanager
def bar(label: str, total: int | None) -> Iterator[Callable[[], None]]:
    """A progress bar on standard error if that is a terminal; yields what moves it by one."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=total)
        yield lambda: progress.advance(task)
