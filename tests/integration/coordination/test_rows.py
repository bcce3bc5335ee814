"""Turns as rows, one statement at a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sempre.db.pool import Database as Pool
from sempre.server.coordination.postgres import PostgresTurns
from sempre.server.coordination.turns import LEASE_SECONDS, LONGEST_PATIENCE, Turn, Wanted
from sempre.server.scope import Scope
from tests.support.database import Database

HOUR = 3600.0


async def taken(turns: PostgresTurns, *wanted: Wanted) -> list[Turn]:
    """Whoever asks for services that nobody asked for before finds nothing yet."""
    answer = await turns.take(wanted)
    return list(answer.taken) or list((await turns.take(wanted)).taken)


async def take(turns: PostgresTurns, service: str, interval: float = HOUR) -> Turn:
    (turn,) = await taken(turns, Wanted(service, interval))
    return turn


async def row_of(scope: Scope, name: str) -> dict[str, Any]:
    row = await scope.db.fetchrow(
        """
        SELECT *, extract(epoch FROM next_run - now())::float8 AS due_in,
               extract(epoch FROM lease_until - now())::float8 AS lease FROM service WHERE name = $1
        """,
        name,
    )
    return dict(row) if row else {}


async def lose_lease(scope: Scope, name: str) -> None:
    """As time does, when nobody renews it."""
    await scope.db.execute("UPDATE service SET lease_until = now() - interval '1 ms' WHERE name = $1", name)


async def finish(turns: PostgresTurns, turn: Turn, interval: float = HOUR, *, error: str | None = None) -> None:
    await turns.finish(turn, interval=interval, patience=0, seconds=0.5, error=error)


async def test_each_turn_is_taken_by_one_of_many(scope: Scope, replica: Scope) -> None:
    wanted = [Wanted(f"contended_{number}", 60) for number in range(20)]
    turns = [PostgresTurns(s.db, f"{number}") for number, s in enumerate([scope, replica] * 4)]
    await turns[0].take([Wanted("contended_0", 60)])  # the others are not there yet
    answers = [answer for _ in range(3) for answer in await asyncio.gather(*(each.take(wanted) for each in turns))]
    counts = Counter(turn.service for answer in answers for turn in answer.taken)
    assert counts == {each.service: 1 for each in wanted}
    later = await turns[0].take(wanted)
    assert not later.taken
    assert all(0 < wait <= LEASE_SECONDS for wait in later.waits.values()), "until their holders may be dead"


async def test_who_dies_in_a_round_is_replaced_whatever_the_interval(scope: Scope, replica: Scope) -> None:
    dies, heir = PostgresTurns(scope.db, "dies"), PostgresTurns(replica.db, "heir")
    turn = await take(dies, "orphaned")
    assert (await heir.take([Wanted("orphaned", HOUR)])).taken == []
    await lose_lease(scope, "orphaned")
    heirs = await take(heir, "orphaned")
    before = await row_of(scope, "orphaned")
    # It was not dead but frozen, and returns.
    await dies.renew([turn])
    await finish(dies, turn, error="late")
    await dies.release([turn])
    assert {**await row_of(scope, "orphaned"), "due_in": 0, "lease": 0} == {**before, "due_in": 0, "lease": 0}
    await finish(heir, heirs)
    assert (await row_of(scope, "orphaned"))["completed"] is not None


async def test_a_process_does_not_mistake_its_own_earlier_turn(scope: Scope) -> None:
    turns = PostgresTurns(scope.db, "forgetful")
    first = await take(turns, "twice")
    await lose_lease(scope, "twice")
    second = await take(turns, "twice")
    await finish(turns, first, error="of the first")
    row = await row_of(scope, "twice")
    assert (row["error"], row["fence"]) == (None, second.fence)
    assert row["lease_until"] is not None


async def test_a_round_that_goes_on_keeps_its_turn(scope: Scope, replica: Scope) -> None:
    turns = PostgresTurns(scope.db, "busy")
    turn = await take(turns, "slow", 0.001)
    await scope.db.execute("UPDATE service SET lease_until = now() + interval '1 s' WHERE name = 'slow'")
    await turns.renew([turn])
    row = await row_of(scope, "slow")
    assert row["lease"] > LEASE_SECONDS - 1
    assert row["due_in"] > LEASE_SECONDS - 1, "the previous release looks at nothing else"
    assert (await PostgresTurns(replica.db, "idle").take([Wanted("slow", 0.001)])).taken == []
    await finish(turns, turn, 0.001)
    assert (await PostgresTurns(replica.db, "idle").take([Wanted("slow", 0.001)])).taken != []


async def test_a_round_that_has_ended_is_not_kept(scope: Scope, replica: Scope) -> None:
    """A renewal, or the end of a stop, may be on its way while a round ends."""
    one, other = PostgresTurns(scope.db, "one"), PostgresTurns(replica.db, "other")
    turn = await take(one, "ended", 0.0)
    await finish(one, turn, 0.0)
    await one.renew([turn])
    assert (await row_of(scope, "ended"))["lease"] is None
    assert (await taken(other, Wanted("ended", 0.0))) != []
    again = await take(one, "ended_late", HOUR)
    await finish(one, again)
    await one.release([again])
    assert (await row_of(scope, "ended_late"))["due_in"] > 3000


async def test_the_next_turn_is_due_an_interval_after_the_start(scope: Scope) -> None:
    turns = PostgresTurns(scope.db, "me")
    turn = await take(turns, "regular", 60)
    await scope.db.execute("UPDATE service SET started = now() - interval '40 s' WHERE name = 'regular'")
    await turns.finish(turn, interval=60, patience=0, seconds=40, error=None)
    assert 0 < (await row_of(scope, "regular"))["due_in"] <= 20

    turn = await take(turns, "overlong", 60)
    await scope.db.execute("UPDATE service SET started = now() - interval '90 s' WHERE name = 'overlong'")
    await turns.finish(turn, interval=60, patience=7, seconds=90, error="failed")
    assert 0 < (await row_of(scope, "overlong"))["due_in"] <= 7


async def test_what_is_given_back_is_due_at_once(scope: Scope, replica: Scope) -> None:
    turns = PostgresTurns(scope.db, "leaves")
    turn = await take(turns, "given_back")
    await turns.release([turn])
    assert (await take(PostgresTurns(replica.db, "stays"), "given_back")).fence > turn.fence


async def test_a_shorter_interval_takes_effect_at_once(scope: Scope) -> None:
    turns = PostgresTurns(scope.db, "me")
    turn = await take(turns, "reconfigured", 86400)
    await finish(turns, turn, 86400)
    assert await taken(turns, Wanted("reconfigured", 86400)) == []
    assert (await take(turns, "reconfigured", 5)).fence > turn.fence


async def test_a_row_that_somebody_is_at_is_passed_over(scope: Scope, replica: Scope) -> None:
    turns = PostgresTurns(scope.db, "me")
    await turns.take([Wanted("locked", 1), Wanted("free", 1)])
    async with replica.db.transaction() as tx:
        await tx.fetch("SELECT FROM service WHERE name = 'locked' FOR UPDATE")
        answer = await turns.take([Wanted("locked", 1), Wanted("free", 1)])  # while the row is locked
    assert [turn.service for turn in answer.taken] == ["free"]


# The statement by which the release before leases takes a turn.
_BEFORE = """
UPDATE service SET next_run = clock_timestamp() + make_interval(secs => $3::float8), owner = $2,
    started = clock_timestamp()
WHERE name = $1 AND next_run <= clock_timestamp() RETURNING name
"""


async def test_the_previous_release_takes_turns_beside_this_one(scope: Scope, replica: Scope) -> None:
    turns = PostgresTurns(scope.db, "new")
    turn = await take(turns, "upgraded", 0.01)
    await turns.renew([turn])
    assert await replica.db.fetchval(_BEFORE, "upgraded", "old", 60.0) is None, "a round of the new one goes on"
    await finish(turns, turn, 0.01)
    await scope.db.execute("UPDATE service SET next_run = now() WHERE name = 'upgraded'")
    assert await replica.db.fetchval(_BEFORE, "upgraded", "old", 60.0) == "upgraded"
    assert (await turns.take([Wanted("upgraded", 60)])).taken == []
    await turns.renew([turn])
    await finish(turns, turn, error="of the new one")
    row = await row_of(scope, "upgraded")
    assert (row["owner"], row["error"]) == ("old", None)


_offset = st.none() | st.floats(-1e5, 1e5).filter(lambda seconds: abs(seconds) > 1)
_rows = st.lists(
    st.tuples(_offset, _offset, st.sampled_from([0.1, 5.0, 60.0, HOUR, 86400.0]), st.sampled_from([0.0, 2.0, 30.0])),
    min_size=1,
    max_size=40,
)


def is_due(next_run: float | None, lease: float | None, interval: float, grace: float) -> bool:
    """What the statement decides, once more: seconds from now (None: never ran, nobody is at it)."""
    if lease is not None:
        return lease <= 0
    return next_run is None or next_run + grace <= 0 or next_run > interval + LONGEST_PATIENCE


@pytest.fixture(scope="module")
def runner() -> Any:
    with asyncio.Runner() as running:
        yield running


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_rows)
def test_turns_are_due_as_they_should(
    database: Database, runner: asyncio.Runner, rows: list[tuple[float | None, float | None, float, float]]
) -> None:
    # Times near a boundary would pass it between the two clocks.
    near = 1.0
    rows = [
        row for row in rows
        if row[0] is None or min(abs(row[0] + row[3]), abs(row[0] - row[2] - LONGEST_PATIENCE)) > near
    ]  # fmt: skip

    async def check() -> None:
        pool = Pool(database.url, size=1)
        await pool.open()
        try:
            await pool.execute("DELETE FROM service WHERE name LIKE 'drawn_%'")
            await pool.execute(
                """
                INSERT INTO service (name, next_run, lease_until)
                SELECT 'drawn_' || n, coalesce(now() + make_interval(secs => next), '-infinity'),
                       now() + make_interval(secs => lease)
                FROM unnest($1::float8[], $2::float8[]) WITH ORDINALITY AS drawn(next, lease, n)
                """,
                [row[0] for row in rows],
                [row[1] for row in rows],
            )
            wanted = [Wanted(f"drawn_{n}", row[2], row[3]) for n, row in enumerate(rows, 1)]
            answer = await PostgresTurns(pool, "model").take(wanted)
        finally:
            await pool.close()
        expected = {each.service for each, row in zip(wanted, rows, strict=True) if is_due(*row)}
        assert {turn.service for turn in answer.taken} == expected
        assert set(answer.waits) == {each.service for each in wanted} - expected
        for each, (next_run, lease, _, _) in zip(wanted, rows, strict=True):
            if each.service in answer.waits:
                until = lease if lease is not None else next_run
                assert until is not None
                assert answer.waits[each.service] == pytest.approx(until, abs=near)

    runner.run(check())
