"""Following another reader of the same log (:mod:`sempre.core.log_cursor`) instead of reading it oneself.

A *stretch* is what another reader has found: the cursor it started from, the one it ended at, and the numbers of all
the rows it met in between. It says of every number that was expected ``before``: it is among the rows, it is still
expected ``after``, or it is dead. A follower that expects nothing beyond what was expected ``before`` therefore loses
nothing by taking the rows that it expects, and expecting of the rest what is still expected ``after``. One that expects
more has missed something, and must read the log from its own cursor. Nothing else is asked of where stretches come
from: they may be lost, repeated, out of order, from several readers at once, or older than what the follower has read.

The bounds of holes may be taken over: they tell of the transactions that could have drawn a number, whoever asks.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace

from sempre.core.log_cursor import Cursor, Hole, expects

__all__ = ["follow"]


def follow(own: Cursor, before: Cursor, after: Cursor, rows: Sequence[int]) -> tuple[Cursor, frozenset[int]] | None:
    """The follower's cursor after a stretch, and which of ``rows`` it had not seen. ``None``: it missed something."""
    if not _covers(before, own):
        return None
    taken = frozenset(seq for seq in rows if expects(own, seq))
    holes = list(_common(own.holes, after.holes))
    if own.position < after.position:
        holes.extend(_beyond(after.holes, own.position))
    else:
        holes.extend(_beyond(own.holes, after.position))
    return Cursor(max(own.position, after.position), tuple(holes)), taken


def _covers(wide: Cursor, narrow: Cursor) -> bool:
    """Whether every number that ``narrow`` expects is expected by ``wide`` too."""
    if narrow.position < wide.position:
        return False
    starts = [hole.start for hole in wide.holes]
    for hole in narrow.holes:
        # Up to the position of ``wide`` it takes one of its holes; holes of a cursor that touch are told apart nowhere.
        start, end = hole.start, min(hole.end, wide.position + 1)
        while start < end:
            found = bisect_right(starts, start) - 1
            if found < 0 or wide.holes[found].end <= start:
                return False
            start = wide.holes[found].end
    return True


def _common(some: Sequence[Hole], others: Sequence[Hole]) -> Iterator[Hole]:
    """What is in both, ascending, with the bound of either."""
    i = j = 0
    while i < len(some) and j < len(others):
        one, other = some[i], others[j]
        start, end = max(one.start, other.start), min(one.end, other.end)
        if start < end:
            yield Hole(start, end, one.seen_xmax or other.seen_xmax)
        if one.end < other.end:
            i += 1
        else:
            j += 1


def _beyond(holes: Sequence[Hole], position: int) -> Iterator[Hole]:
    for hole in holes:
        if hole.end > position + 1:
            yield replace(hole, start=max(hole.start, position + 1))
