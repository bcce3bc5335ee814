"""The position of a consumer in an append-only log whose sequence numbers may commit out of order.

A reader sees number 7 while the transaction that holds 6 is still running. The cursor moves on to 7 and remembers 6 as
a hole; the next reads ask for it again until it appears or can never appear.

When is a number dead? When every transaction that could have drawn it has ended before a snapshot in which its row is
still absent. For that the cursor needs a transaction id ``B`` above the id of whoever drew the number; once the
oldest running transaction of a read is ``B`` or later, the hole is dropped. What makes ``B`` sound:

* **The writer has its transaction id before it draws its number.** An ``INSERT`` alone does not promise that: the
  executor evaluates ``nextval`` before the first heap write assigns the id, and a process stopped in between would
  come back with an id above every bound. A column default of
  ``CASE WHEN pg_current_xact_id() IS NOT NULL THEN nextval('...') END`` does promise it.
* **The bound is the reader's own transaction id** (``pg_current_xact_id()``), not ``pg_snapshot_xmax``: that is one
  past the highest *completed* id, so a running writer may have a greater one.
* **The bound comes from a later transaction than the one that found the hole.** A reader that locks its cursor before
  it reads owns an id older than numbers drawn in between; its next transaction is younger than all of them.

The read is one statement (one snapshot), ascending, over ``seq > position`` and the holes together, limited or not::

    SELECT ... WHERE seq > $position OR seq <@ any hole ORDER BY seq LIMIT $n

Sequences must have CACHE 1: a number below a visible one is then drawn already.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

__all__ = ["Cursor", "Hole", "advance", "expects", "from_json", "to_json"]

_UNBOUNDED = 0  # no transaction has this id


@dataclass(frozen=True, slots=True)
class Hole:
    """Missing numbers ``start <= seq < end``.

    ``seen_xmax`` is an id above that of every transaction that could have drawn them, or 0 while the hole has been
    seen by one read only.
    """

    start: int
    end: int
    seen_xmax: int = _UNBOUNDED

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise ValueError(f"a hole must not be empty: [{self.start}, {self.end})")


@dataclass(frozen=True, slots=True)
class Cursor:
    """Every number up to ``position`` was delivered, is in one of the ``holes`` (ascending, disjoint), or is dead."""

    position: int = 0
    holes: tuple[Hole, ...] = ()


def advance(cursor: Cursor, seqs_read: Sequence[int], xmin: int, xmax: int) -> Cursor:
    """The cursor after a read.

    ``seqs_read`` are the numbers the read returned, in any order: all visible ones of the holes and beyond the
    position, in ascending order up to the read's limit. ``xmin`` is ``pg_snapshot_xmin`` of that same statement's
    snapshot, ``xmax`` the id of the reader's transaction, which began after the one that produced ``cursor`` ended.

    Rows beyond the position are never held back by holes, and an old unrelated transaction only keeps holes open.
    Raises ``ValueError`` for a number that is repeated or that the cursor does not expect; it would be delivered twice.
    """
    read = sorted(seqs_read)
    _check(cursor, read)
    # An ascending read that was cut off says nothing about what lies above its last row.
    looked_at = read[-1] if read else None
    holes: list[Hole] = []
    for hole in cursor.holes:
        bounded = hole if hole.seen_xmax else replace(hole, seen_xmax=xmax)
        for part in _without(bounded, read):
            if xmin < part.seen_xmax:
                holes.append(part)
            elif looked_at is not None and part.end > looked_at:
                holes.extend(_above(part, looked_at))
    position = cursor.position
    for seq in read[bisect_left(read, position + 1) :]:
        if seq > position + 1:
            holes.append(Hole(position + 1, seq))
        position = seq
    return Cursor(position, tuple(holes))


def expects(cursor: Cursor, seq: int) -> bool:
    """Whether a row of this number is still to be delivered."""
    return seq > cursor.position or any(hole.start <= seq < hole.end for hole in cursor.holes)


def _check(cursor: Cursor, read: list[int]) -> None:
    if any(one == other for one, other in pairwise(read)):
        raise ValueError("a number was read twice")
    holes = iter(cursor.holes)
    hole = next(holes, None)
    for seq in read:
        if seq > cursor.position:
            return
        while hole is not None and hole.end <= seq:
            hole = next(holes, None)
        if hole is None or seq < hole.start:
            raise ValueError(f"number {seq} was delivered before")


def _without(hole: Hole, read: list[int]) -> Iterable[Hole]:
    """What is left of the hole."""
    start = hole.start
    for seq in read[bisect_left(read, hole.start) : bisect_left(read, hole.end)]:
        if start < seq:
            yield replace(hole, start=start, end=seq)
        start = seq + 1
    if start < hole.end:
        yield replace(hole, start=start)


def _above(hole: Hole, last: int) -> Iterable[Hole]:
    """The part of the hole above the last number of a read."""
    if hole.end > last + 1:
        yield replace(hole, start=max(hole.start, last + 1))


def to_json(cursor: Cursor) -> dict[str, Any]:
    """``{"position": p, "holes": [[start, length, seen_xmax], ...]}``; equal for equal cursors."""
    return {
        "position": cursor.position,
        "holes": [[hole.start, hole.end - hole.start, hole.seen_xmax] for hole in cursor.holes],
    }


def from_json(stored: Mapping[str, Any]) -> Cursor:
    """Read the stored form back. Raises ``ValueError`` if it is none."""
    try:
        position = int(stored["position"])
        holes = tuple(Hole(int(start), int(start) + int(length), int(xmax)) for start, length, xmax in stored["holes"])
    except (KeyError, TypeError) as error:
        raise ValueError("not a stored cursor") from error
    ends = [0, *(hole.end for hole in holes)]
    if any(hole.start < end for hole, end in zip(holes, ends, strict=False)) or ends[-1] > position + 1:
        raise ValueError("the holes of a cursor must be ascending, disjoint and before its position")
    return Cursor(position, holes)
