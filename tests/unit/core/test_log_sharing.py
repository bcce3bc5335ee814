"""A follower of other readers' stretches, and its own reads in between, against a simulated database."""

from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sempre.core.log_cursor import Cursor, Hole
from sempre.core.log_sharing import follow
from tests.unit.core.test_log_cursor import Consumer, Database


@dataclass(frozen=True)
class Stretch:
    before: Cursor
    after: Cursor
    rows: tuple[int, ...]


@dataclass
class Publisher(Consumer):
    """A reader that publishes. Reads that find nothing become part of the next stretch."""

    told: Cursor = field(default_factory=Cursor)

    def publish(self, limit: int) -> list[Stretch]:
        known = len(self.delivered)
        self.read(limit)
        rows = tuple(self.delivered[known:])
        if not rows:
            return []
        stretch = Stretch(self.told, self.cursor, rows)
        self.told = self.cursor
        return [stretch]


@dataclass
class Follower(Consumer):
    followed: int = 0

    def hear(self, stretch: Stretch) -> bool:
        """Raises AssertionError if it would deliver a number twice."""
        result = follow(self.cursor, stretch.before, stretch.after, stretch.rows)
        if result is None:
            return False
        self.cursor, taken = result
        assert taken.isdisjoint(self.delivered)
        self.delivered += sorted(taken)
        self.followed += 1
        return True


def play(random: Random, steps: int = 150) -> tuple[Database, Follower]:
    database = Database()
    publishers = [Publisher(database), Publisher(database)]
    follower = Follower(database)
    stream: list[Stretch] = []
    # Streams that lose nothing and ones that lose most, publishers that take turns and that do not.
    loss, shuffle, reading = random.choice([0.0, 0.1, 0.6]), random.random() < 0.3, random.choice([0.0, 0.1, 0.5])
    for _ in range(steps):
        action = random.choice(["begin", "draw", "draw", "commit", "commit", "abort", "publish", "publish", "hear"])
        writers = list(database.running)
        if action == "begin":
            database.begin()
        elif action == "publish":
            published = random.choice(publishers).publish(random.choice([1, 2, 7]))
            stream += [one for one in published if random.random() >= loss]
        elif action == "hear":
            while stream:
                stretch = stream.pop(random.randrange(len(stream)) if shuffle else 0)
                if not follower.hear(stretch) or random.random() < reading:
                    follower.read(random.choice([1, 3, 50]))
                if random.random() < 0.1:
                    follower.hear(stretch)
        elif writers:
            writer = random.choice(writers)
            if action == "draw":
                database.draw(writer, random.choice([1, 1, 3]))
            else:
                database.end(writer, commit=action == "commit")
        assert len(follower.delivered) == len(set(follower.delivered))
    return database, follower


@settings(max_examples=600, deadline=None)
@given(st.integers(0, 2**32))
def test_exactly_once_whatever_becomes_of_the_stream(seed: int) -> None:
    database, follower = play(Random(seed))
    follower.finish()
    assert sorted(follower.delivered) == sorted(database.visible)
    assert follower.cursor.holes == ()


def test_an_undisturbed_follower_reads_nothing_itself() -> None:
    """Once it has caught up with the publisher, holes of either kind included."""
    for seed in range(50):
        random = Random(seed)
        database = Database()
        publisher, follower = Publisher(database), Follower(database)
        for _ in range(200):
            writer = database.begin()
            database.draw(writer, random.choice([1, 2]))
            for other in list(database.running)[:: random.choice([1, 2])]:
                database.end(other, commit=random.random() < 0.8)
            for stretch in publisher.publish(random.choice([1, 3, 100])):
                assert follower.hear(stretch)
        assert follower.followed > 100
        assert follower.delivered == publisher.delivered


def test_a_gap_is_noticed() -> None:
    assert follow(Cursor(5), Cursor(6), Cursor(8), [7, 8]) is None
    assert follow(Cursor(9, (Hole(4, 5),)), Cursor(6), Cursor(8), [7, 8]) is None, "4 was delivered, or it is dead"
    assert follow(Cursor(9, (Hole(3, 6),)), Cursor(6, (Hole(3, 5),)), Cursor(8), [7, 8]) is None


@pytest.mark.parametrize(
    ("own", "before", "after", "rows", "expected", "taken"),
    [
        (Cursor(5), Cursor(5), Cursor(7), [6, 7], Cursor(7), {6, 7}),
        (Cursor(9), Cursor(5), Cursor(7), [6, 7], Cursor(9), set()),
        (Cursor(6), Cursor(5), Cursor(7), [6, 7], Cursor(7), {7}),
        # A number that is out for both, with the bound that one of them knows.
        (Cursor(6, (Hole(4, 5, 70),)), Cursor(6, (Hole(4, 5),)), Cursor(7, (Hole(4, 5, 80),)), [7],
         Cursor(7, (Hole(4, 5, 70),)), {7}),
        (Cursor(6, (Hole(4, 5),)), Cursor(6, (Hole(4, 5),)), Cursor(7, (Hole(4, 5, 80),)), [7],
         Cursor(7, (Hole(4, 5, 80),)), {7}),
        # One that the other has found dead, one that it has met, one that it has yet to meet.
        (Cursor(9, (Hole(3, 4), Hole(6, 7), Hole(8, 9))), Cursor(5, (Hole(3, 4),)), Cursor(7), [6, 7],
         Cursor(9, (Hole(8, 9),)), {6}),
        (Cursor(3), Cursor(3), Cursor(9, (Hole(5, 8),)), [4, 8, 9], Cursor(9, (Hole(5, 8),)), {4, 8, 9}),
    ],
)  # fmt: skip
def test_what_is_taken(
    own: Cursor, before: Cursor, after: Cursor, rows: list[int], expected: Cursor, taken: set[int]
) -> None:
    assert follow(own, before, after, rows) == (expected, frozenset(taken))
