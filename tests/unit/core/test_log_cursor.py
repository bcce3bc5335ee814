"""The log cursor against a simulated database: every committed number is delivered exactly once."""

import json
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sempre.core.log_cursor import Cursor, Hole, advance, expects, from_json, to_json


@dataclass
class Database:
    """Transaction ids and sequence numbers as Postgres hands them out."""

    next_xid: int = 100
    next_seq: int = 1
    running: dict[int, list[int]] = field(default_factory=dict)  # id -> numbers drawn
    visible: set[int] = field(default_factory=set)
    completed: int = 99

    def begin(self) -> int:
        xid = self.next_xid
        self.next_xid += 1
        self.running[xid] = []
        return xid

    def draw(self, xid: int, count: int = 1) -> None:
        for _ in range(count):
            self.running[xid].append(self.next_seq)
            self.next_seq += 1

    def end(self, xid: int, commit: bool) -> None:
        seqs = self.running.pop(xid)
        if commit:
            self.visible.update(seqs)
        self.completed = max(self.completed, xid)

    @property
    def snapshot_xmax(self) -> int:
        return self.completed + 1

    @property
    def snapshot_xmin(self) -> int:
        return min([*self.running, self.snapshot_xmax])


@dataclass
class Consumer:
    database: Database
    cursor: Cursor = field(default_factory=Cursor)
    delivered: list[int] = field(default_factory=list)
    xid: int | None = None  # of the transaction it has open

    def begin(self) -> None:
        """Take the lease: from here on the transaction has an id."""
        if self.xid is None:
            self.xid = self.database.begin()

    def read(self, limit: int, commit: bool = True) -> None:
        self.begin()
        assert self.xid is not None
        waiting = sorted(seq for seq in self.database.visible if expects(self.cursor, seq))
        rows = waiting[:limit]
        moved = advance(self.cursor, rows, self.database.snapshot_xmin, self.xid)
        self.database.end(self.xid, commit)
        self.xid = None
        if commit:
            self.cursor = from_json(json.loads(json.dumps(to_json(moved))))
            self.delivered += rows

    def finish(self) -> None:
        """Let everybody end, then read until nothing is missing."""
        if self.xid is not None:
            self.read(1)
        for xid in list(self.database.running):
            self.database.end(xid, commit=True)
        for _ in range(len(self.database.visible) + 4):
            self.read(1)


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(
            ["begin", "draw", "draw", "commit", "commit", "abort", "reader", "read", "read", "lost", "idle"]
        ),
        st.integers(0, 7),
    ),
    max_size=80,
)


def run(database: Database, consumer: Consumer, operations: list[tuple[str, int]]) -> None:
    """Play the operations; the number of each picks a writer, how many numbers it draws, or the limit of a read."""
    idle: int | None = None  # a transaction that never touches the log
    for name, pick in operations:
        writers = [xid for xid in database.running if xid not in (idle, consumer.xid)]
        writer = writers[pick % len(writers)] if writers else None
        if name == "begin":
            database.begin()
        elif name == "reader":
            consumer.begin()
        elif name in ("read", "lost"):
            consumer.read(limit=pick + 1, commit=name == "read")
        elif name == "idle":
            if idle is not None:
                database.end(idle, commit=False)
            idle = database.begin() if idle is None else None
        elif writer is not None and name == "draw":
            database.draw(writer, 1 + pick % 3)
        elif writer is not None:
            database.end(writer, commit=name == "commit")
        assert len(consumer.delivered) == len(set(consumer.delivered))
    consumer.finish()
    assert sorted(consumer.delivered) == sorted(database.visible)
    assert consumer.cursor.holes == ()


@settings(max_examples=300, deadline=None)
@given(OPERATIONS)
def test_exactly_once_and_eventually(operations: list[tuple[str, int]]) -> None:
    database = Database()
    run(database, Consumer(database), operations)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 2**32))
def test_exactly_once_in_long_runs(seed: int) -> None:
    random = Random(seed)
    # Many writers or few, idle transactions or none: each mix reaches other interleavings.
    names = ["begin", "draw", "commit", "abort", "reader", "read", "lost", "idle"]
    weights = [random.choice([1, 3, 6]) for _ in names[:-2]] + [random.choice([0, 1]) for _ in names[-2:]]
    database = Database()
    run(
        database,
        Consumer(database),
        [(name, random.choice([0, 1, 2, 7])) for name in random.choices(names, weights, k=200)],
    )


@settings(max_examples=200, deadline=None)
@given(OPERATIONS)
def test_a_long_transaction_only_keeps_holes_open(operations: list[tuple[str, int]]) -> None:
    database = Database()
    consumer = Consumer(database)
    database.begin()
    for name, pick in operations:
        writer = database.begin()
        database.draw(writer, 1 + pick % 2)
        database.end(writer, commit=name != "abort")
        consumer.read(limit=100)
        assert set(consumer.delivered) == database.visible


def test_out_of_order_commit() -> None:
    first = advance(Cursor(5), [6, 9], xmin=10, xmax=20)
    assert first == Cursor(9, (Hole(7, 9),))
    second = advance(first, [8], xmin=10, xmax=21)
    assert second == Cursor(9, (Hole(7, 8, 21),))
    assert advance(second, [7], xmin=21, xmax=30) == Cursor(9)
    assert advance(second, [], xmin=20, xmax=30) == second
    assert advance(second, [], xmin=21, xmax=30) == Cursor(9)


def test_a_read_cut_off_by_its_limit_drops_nothing_above_it() -> None:
    cursor = Cursor(20, (Hole(3, 6, 50), Hole(10, 12, 50)))
    assert advance(cursor, [4], xmin=60, xmax=61) == Cursor(20, (Hole(5, 6, 50), Hole(10, 12, 50)))
    assert advance(cursor, [11], xmin=60, xmax=61) == Cursor(20)
    assert advance(cursor, [21], xmin=60, xmax=61) == Cursor(21)


def test_the_snapshot_says_too_little_about_running_writers() -> None:
    """Why neither the snapshot's xmax nor the finding read's own id is the bound."""
    database = Database()
    low, reader, high = database.begin(), database.begin(), database.begin()
    database.draw(high)
    database.draw(low)
    database.end(low, commit=True)
    assert database.snapshot_xmax <= high
    assert reader < high
    found = advance(Cursor(), [2], database.snapshot_xmin, reader)
    database.end(reader, commit=True)
    later = database.begin()
    again = advance(found, [], database.snapshot_xmin, later)
    assert again.holes == (Hole(1, 2, later),)
    database.end(later, commit=True)
    database.end(high, commit=True)
    assert advance(again, [1], database.snapshot_xmin, database.begin()) == Cursor(2)


@pytest.mark.parametrize("seqs", [[6, 6], [5], [3], [8, 7, 8]])
def test_unexpected_numbers_are_refused(seqs: list[int]) -> None:
    with pytest.raises(ValueError):
        advance(Cursor(5, (Hole(2, 3),)), seqs, xmin=1, xmax=2)


def test_stored_form() -> None:
    cursor = Cursor(20, (Hole(3, 6, 50), Hole(10, 12)))
    assert to_json(cursor) == {"position": 20, "holes": [[3, 3, 50], [10, 2, 0]]}
    assert from_json(to_json(cursor)) == cursor
    for bad in ({}, {"position": 5, "holes": [[9, 1, 0]]}, {"position": 9, "holes": [[3, 2, 0], [4, 1, 0]]},
                {"position": 9, "holes": [[3, 0, 0]]}, {"position": 9, "holes": None}):  # fmt: skip
        with pytest.raises(ValueError):
            from_json(bad)
