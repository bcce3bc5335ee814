"""Coordination switched off: every replica runs every interval, and each slot of a schedule still gets one run."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses

from sempre.server.scope import Scope
from sempre.server.services.registry import SERVICES
from sempre.server.services.supervisor import Supervisor
from tests.integration.services.test_scheduler import MINUTELY, consistent, deployment
from tests.support.database import Database
from tests.support.scopes import open_scope, until

OFF = {
    "SEMPRE_SERVER_SERVICES_COORDINATION_ENABLED": "false",
    "SEMPRE_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "0.2",
    "SEMPRE_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "0.1",
    "SEMPRE_SERVER_SERVICES_SCHEDULER_MIN_RUNS": "5",
    "SEMPRE_SERVER_SERVICES_SCHEDULER_MIN_SCHEDULED_TIME": "300",
}
DEPLOYMENTS = 50
MORE = 6  # times that the newest runs are lost and planned anew

# As if time passed: the last planned run of each deployment goes.
_LOSE = """
WITH gone AS (
    DELETE FROM flow_run WHERE id IN (
        SELECT DISTINCT ON (deployment_id) id FROM flow_run ORDER BY deployment_id, next_scheduled_start_time DESC
    ) RETURNING id
)
DELETE FROM flow_run_state USING gone WHERE flow_run_id = gone.id
"""
_COUNTS = """
SELECT count(DISTINCT deployment_id) AS deployments, count(*) AS runs,
       count(DISTINCT (deployment_id, next_scheduled_start_time)) AS slots,
       (SELECT coalesce(min(n), 0) FROM (SELECT count(*) AS n FROM flow_run GROUP BY deployment_id) each) AS least
FROM flow_run
"""


async def test_three_replicas_make_one_run_per_slot(database: Database) -> None:
    rounds = [0, 0, 0]

    def counted(number: int) -> list[Supervisor]:
        services = []
        for service in SERVICES:
            if service.section == "scheduler":

                async def run(scope: Scope, work=service.run) -> None:  # type: ignore[no-untyped-def]
                    await work(scope)
                    rounds[number] += 1

                services.append(dataclasses.replace(service, run=run))
        return [Supervisor(scopes[number], services)]

    async with contextlib.AsyncExitStack() as stack:
        scopes = [await stack.enter_async_context(open_scope(database, OFF)) for _ in range(3)]
        here = scopes[0]
        for number in range(DEPLOYMENTS):
            await deployment(here, MINUTELY, name=str(number))
        replicas = [one for number in range(3) for one in counted(number)]
        for one in replicas:
            one.start()
        try:
            for _ in range(MORE):

                async def planned() -> bool:
                    row = await here.db.fetchrow(_COUNTS)
                    assert row is not None
                    assert row["runs"] == row["slots"]
                    return bool(row["deployments"] == DEPLOYMENTS and row["least"] >= 5)

                await until(planned, "every deployment has its runs", 60)
                before = list(rounds)
                await here.db.execute(_LOSE)
                await until(lambda: all(now > was for was, now in zip(before, rounds, strict=True)), "all plan", 60)  # noqa: B023
        finally:
            await asyncio.gather(*(one.stop() for one in replicas))
        row = await here.db.fetchrow(_COUNTS)
        assert row is not None
        assert row["runs"] == row["slots"]
        assert await consistent(here)
