"""Metric triggers: measured over the log, firing and resolving, each once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from sempre.core.states import StateDetails, StateType
from sempre.core.transitions.model import Policy, Proposal
from sempre.server.flow_runs.orchestration import set_flow_run_state
from sempre.server.scope import Scope
from sempre.server.triggers.counters import forget
from sempre.server.triggers.definitions import ids_below
from tests.integration.services.runs import flow_run
from tests.integration.triggers.engine import Engine, automate, firings, send
from tests.support.events import an_event

Json = dict[str, Any]
# The tests live an hour and a half in the past, where the triggers were looked at for the last time.
_T = datetime.now(UTC) - timedelta(minutes=90)


def metric(name: str = "successes", operator: str = "<", threshold: float = 0.5, **more: Any) -> Json:
    asked = {"name": name, "operator": operator, "threshold": threshold, "range": 300, "firing_for": 300}
    return {"type": "metric", "posture": "Metric", "metric": asked, **more}


def ended(seconds: float, state: str = "Completed", **fields: Any) -> Json:
    labels = {"prefect.resource.id": f"prefect.flow-run.{uuid4()}", "prefect.state-type": state.upper()}
    occurred = (_T + timedelta(seconds=seconds)).isoformat()
    return an_event(f"prefect.flow-run.{state}", labels, occurred=occurred, **fields)


async def begin(engine: Engine) -> None:
    """Every metric has just been looked at, in the past."""
    await engine.look()
    state = {"at": _T.replace(second=0, microsecond=0).isoformat(), "firing": False, "contrary_since": None}
    await engine.scope.db.execute("UPDATE automation_watch SET state = $1, due = now()", state)


async def live(scope: Scope, engines: list[Engine], since: int, until: int, state: str, **fields: Any) -> None:
    """A run ends in that state every twenty seconds."""
    await send(scope, *(ended(seconds, state, **fields) for seconds in range(since, until, 20)))
    await asyncio.gather(*(engine.drain() for engine in engines))


async def look(scope: Scope, *engines: Engine) -> None:
    await scope.db.execute("UPDATE automation_watch SET due = now()")
    await asyncio.gather(*(engine.look() for engine in engines))


@pytest.mark.parametrize("replicas", [1, 3])
async def test_fires_and_resolves_once(scope: Scope, replicas: int) -> None:
    engines = [Engine(scope) for _ in range(replicas)]
    await engines[0].drain()
    id = await automate(
        scope,
        metric(),
        {"type": "do-nothing"},
        actions_on_trigger=[{"type": "do-nothing"}],
        actions_on_resolve=[{"type": "do-nothing"}],
    )
    await begin(engines[0])
    await live(scope, engines, 0, 600, "Failed")
    await live(scope, engines, 600, 1300, "Completed")
    await look(scope, *engines)
    await look(scope, *engines)
    fired, resolved = await firings(scope, id)
    assert fired["trigger_states"] == ["Triggered"]
    assert fired["triggering_value"] == 0.0
    assert fired["triggering_event"] is None
    assert fired["trigger"]["type"] == "metric"
    since = (datetime.fromisoformat(fired["triggered"]) - _T).total_seconds()
    assert 240 <= since <= 340
    assert resolved["trigger_states"] == ["Resolved"]
    assert resolved["triggering_value"] > 0.5
    told = await scope.db.fetch(
        "SELECT event, resource FROM event WHERE event LIKE 'prefect.automation.%' ORDER BY occurred"
    )
    assert [row["event"] for row in told] == ["prefect.automation.triggered", "prefect.automation.resolved"]
    assert {row["resource"]["prefect.posture"] for row in told} == {"Metric"}
    owed = await scope.db.fetch(
        "SELECT triggered_by FROM automation_action a JOIN automation_firing f ON f.id = a.firing_id "
        "ORDER BY f.fired_at, a.action_index"
    )
    assert [row["triggered_by"] for row in owed] == ["firing", "automation", "automation"]


async def test_looks_at_what_matches_only(scope: Scope) -> None:
    engine = Engine(scope)
    await engine.drain()
    flow = f"prefect.flow.{uuid4()}"
    id = await automate(scope, metric(match_related={"prefect.resource.role": "flow", "prefect.resource.id": flow}))
    await begin(engine)
    await live(scope, [engine], 0, 500, "Failed")
    assert await scope.db.fetchval("SELECT count(*) FROM automation_metric_slot") == 0
    of_flow = [{"prefect.resource.id": flow, "prefect.resource.role": "flow"}]
    await live(scope, [engine], 500, 1000, "Crashed", related=of_flow)
    await look(scope, engine)
    assert len(await firings(scope, id)) == 1
    assert await scope.db.fetchval("SELECT sum(count) FROM automation_metric_slot") == 25


async def test_every_run_is_measured_once_by_two_engines(scope: Scope) -> None:
    engines = [Engine(scope), Engine(scope)]
    await engines[0].drain()
    await automate(scope, metric())
    for _ in range(5):
        await send(scope, *(ended(number % 7) for number in range(40)))
        await asyncio.gather(*(engine.drain() for engine in engines))
    row = await scope.db.fetchrow("SELECT sum(count)::int AS runs, sum(total) AS total FROM automation_metric_slot")
    assert dict(row or {}) == {"runs": 200, "total": 200.0}


async def test_a_child_of_a_compound_trigger(scope: Scope) -> None:
    engine = Engine(scope)
    await engine.drain()
    happened = {"type": "event", "posture": "Reactive", "expect": ["it.happened"], "threshold": 1, "within": 0}
    id = await automate(scope, {"type": "compound", "require": "all", "within": None, "triggers": [metric(), happened]})
    await begin(engine)
    await live(scope, [engine], 0, 600, "Failed")
    await live(scope, [engine], 600, 1300, "Completed")
    await look(scope, engine)
    assert await firings(scope, id) == []
    await send(scope, an_event())
    await engine.drain()
    (fired,) = await firings(scope, id)
    assert {child["triggering_value"] for child in fired["triggering_firings"]} == {None, 0.0}
    told = await scope.db.fetchval("SELECT count(*) FROM automation_firing")
    assert told == 1, "of the end of a child nobody tells"


async def test_duration_and_lateness_come_from_the_states_of_the_run(scope: Scope) -> None:
    engine = Engine(scope)
    await engine.drain()
    await automate(scope, metric("duration"))
    await automate(scope, metric("lateness"))
    late = Proposal(
        StateType.SCHEDULED,
        "Scheduled",
        details=StateDetails(scheduled_time=datetime.now(UTC) - timedelta(seconds=100)),
    )
    run = await flow_run(scope, late)
    for state in (StateType.PENDING, StateType.RUNNING):
        await set_flow_run_state(scope, run, Proposal(state, state.value.capitalize()))
    await engine.drain()
    await scope.db.execute(
        "UPDATE flow_run_state SET timestamp = timestamp - interval '60 s' WHERE flow_run_id = $1 AND type = 'RUNNING'",
        run,
    )
    await set_flow_run_state(scope, run, Proposal(StateType.FAILED, "Failed"), Policy.FORCED)
    await engine.drain()
    rows = await scope.db.fetch(
        """
        SELECT a.trigger->'metric'->>'name' AS name, s.count, s.total
        FROM automation_metric_slot s JOIN automation a ON a.trigger->>'id' = s.trigger_id::text
        """
    )
    found = {row["name"]: (row["count"], row["total"]) for row in rows}
    assert set(found) == {"duration", "lateness"}
    assert found["lateness"] == (1, pytest.approx(100, abs=5))
    assert found["duration"] == (1, pytest.approx(60, abs=5))


async def test_what_was_measured_goes_with_the_trigger(scope: Scope) -> None:
    engine = Engine(scope)
    await engine.drain()
    id = await automate(scope, metric())
    await begin(engine)
    await live(scope, [engine], 0, 60, "Failed")
    assert await scope.db.fetchval("SELECT count(*) FROM automation_metric_slot") > 0
    trigger = await scope.db.fetchval("DELETE FROM automation WHERE id = $1 RETURNING trigger", id)
    await forget(scope.db, id, ids_below(trigger))
    await engine.look()
    for table in ("automation_metric_slot", "automation_watch", "automation_forgotten_trigger"):
        assert await scope.db.fetchval(f"SELECT count(*) FROM {table}") == 0


async def test_nothing_is_judged_before_all_is_read(scope: Scope) -> None:
    """Half of what happened would tell another story."""
    engine = Engine(scope)
    await engine.drain()
    id = await automate(scope, metric())
    await begin(engine)
    await send(scope, *(ended(number * 2, "Failed") for number in range(500)))
    await send(scope, *(ended(number * 2, "Completed") for number in range(500)))
    await look(scope, engine)  # one batch of two
    assert await firings(scope, id) == []
    assert await scope.db.fetchval("SELECT sum(count) FROM automation_metric_slot") == 500
    await engine.drain()
    await look(scope, engine)
    assert await firings(scope, id) == []


@pytest.mark.parametrize("span", [300, 10**8, 10**12])
async def test_the_longest_spans_stay_within_the_calendar(scope: Scope, span: int) -> None:
    engine = Engine(scope)
    await engine.drain()
    asked = {"name": "duration", "threshold": 0, "operator": ">", "range": span, "firing_for": span}
    await automate(scope, {"type": "metric", "posture": "Metric", "metric": asked})
    await begin(engine)
    await send(scope, ended(0), ended(-(10**8)), ended(10**9))
    await engine.drain()
    await look(scope, engine)
    assert await scope.db.fetchval("SELECT count(*) FROM event_dead_letter") == 0
    assert await scope.db.fetchval("SELECT (state->>'at')::timestamptz <= now() FROM automation_watch") is True
