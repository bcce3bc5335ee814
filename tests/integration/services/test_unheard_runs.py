"""Runs that died before their first heartbeat arrived."""

from __future__ import annotations

from uuid import UUID, uuid4

from sempre.core.states import StateType
from sempre.server.scope import Scope
from sempre.server.services import claims
from tests.integration.services.claimants import age, as_worker, beat, claimed, here, propose, state
from tests.integration.services.runs import flow_run, move

T = StateType


async def heartbeat(scope: Scope, run: UUID) -> None:
    resource = f"prefect.flow-run.{run}"
    await scope.db.execute(
        """
        INSERT INTO event (occurred, workspace_id, id, event, resource_id, resource, related, resource_ids, payload)
        VALUES (now(), $1, $2, 'prefect.flow-run.heartbeat', $3, '{}', '[]', ARRAY[$3], '{}')
        """,
        scope.workspace_id,
        uuid4(),
        resource,
    )


async def later_run(scope: Scope, run: UUID) -> UUID:
    """Another run of its deployment, begun a moment ago, that sends heartbeats."""
    later = await flow_run(scope)
    await scope.db.execute(
        "UPDATE flow_run SET deployment_id = (SELECT deployment_id FROM flow_run WHERE id = $2) WHERE id = $1",
        later,
        run,
    )
    await move(scope, later, T.RUNNING)
    await heartbeat(scope, later)
    return later


async def test_a_run_that_died_before_its_first_heartbeat_arrived(scope: Scope) -> None:
    run, pool, deployed = await claimed(scope, ago=0)
    await propose(as_worker(scope, "one"), run, T.RUNNING)
    await age(scope, run, 600)
    await beat(scope, pool, "one", 100)
    await claims.crash_unheard(scope, here())
    assert (await state(scope, run))["state_type"] == "RUNNING", "nobody knows that it would send any"
    earlier = await flow_run(scope)
    await scope.db.execute("UPDATE flow_run SET deployment_id = $2 WHERE id = $1", earlier, deployed)
    await move(scope, earlier, T.RUNNING)
    await move(scope, earlier, T.COMPLETED)
    await age(scope, earlier, 2000)
    await heartbeat(scope, earlier)
    beating, its_pool, _ = await claimed(scope, ago=0)
    await scope.db.execute("UPDATE flow_run SET deployment_id = $2 WHERE id = $1", beating, deployed)
    await propose(as_worker(scope, "one"), beating, T.RUNNING)
    await beat(scope, its_pool, "one", 100)
    await heartbeat(scope, beating)
    await age(scope, beating, 600)
    await claims.crash_unheard(scope, here(since=500))
    assert (await state(scope, run))["state_type"] == "RUNNING", "nobody was there to hear one"
    await claims.crash_unheard(scope, here())
    assert (await state(scope, run))["state_type"] == "CRASHED"
    assert (await state(scope, beating))["state_type"] == "RUNNING"


async def test_the_first_run_of_a_deployment_is_judged_by_later_ones(scope: Scope) -> None:
    run, pool, _ = await claimed(scope, ago=0)
    await propose(as_worker(scope, "one"), run, T.RUNNING)
    await age(scope, run, 600)
    await beat(scope, pool, "one", 100)
    await claims.crash_unheard(scope, here())
    assert (await state(scope, run))["state_type"] == "RUNNING"
    later = await later_run(scope, run)
    await claims.crash_unheard(scope, here())
    assert (await state(scope, run))["state_type"] == "CRASHED"
    assert (await state(scope, later))["state_type"] == "RUNNING"


async def test_heartbeats_of_an_earlier_attempt_say_nothing_of_this_one(scope: Scope) -> None:
    run, pool, _ = await claimed(scope, ago=0)
    await propose(as_worker(scope, "one"), run, T.RUNNING)
    await heartbeat(scope, run)
    await propose(scope, run, T.SCHEDULED, "AwaitingRetry")
    await propose(as_worker(scope, "one"), run, T.PENDING)
    await propose(as_worker(scope, "one"), run, T.RUNNING)
    await age(scope, run, 600)
    await scope.db.execute("UPDATE event SET occurred = occurred - interval '601 s'")
    await later_run(scope, run)
    await beat(scope, pool, "one", 100)
    await claims.crash_unheard(scope, here())
    assert (await state(scope, run))["state_type"] == "CRASHED"
