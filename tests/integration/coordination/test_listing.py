"""What ``sempre server services ls`` says, with services at work, behind and dead."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime
from typing import Any

from sempre.cli.server_services import _behind, _last_run
from sempre.server.coordination.postgres import PostgresTurns
from sempre.server.coordination.replicas import Replica
from sempre.server.coordination.turns import Wanted
from sempre.server.events.consumer import Consumer
from sempre.server.ids import new_id
from sempre.server.scope import Scope
from sempre.server.services import task_run_recorder
from sempre.server.services.listing import list_services

HERE = f"{socket.gethostname()}:{os.getpid()}"


async def listed(scope: Scope, name: str) -> dict[str, Any]:
    (found,) = [each for each in await list_services(scope.settings, scope.db) if each["name"] == name]
    return found


async def test_a_turn_has_a_holder_and_may_be_overdue(scope: Scope) -> None:
    assert (await listed(scope, "foreman"))["behind"] is None
    turns = PostgresTurns(scope.db, f"{HERE}:{new_id()}")
    await turns.take([Wanted("foreman", 15)])
    (turn,) = (await turns.take([Wanted("foreman", 15)])).taken
    found = await listed(scope, "foreman")
    assert found["running_on"] == [HERE]
    assert found["behind"] == {"overdue_seconds": 0}
    assert found["last_run"]["completed"] is None

    await turns.finish(turn, interval=15, patience=0, seconds=0.1, error=None)
    found = await listed(scope, "foreman")
    assert (found["running_on"], found["last_run"]["owner"], found["last_run"]["error"]) == ([], HERE, None)
    assert (datetime.now(UTC) - found["last_run"]["completed"]).total_seconds() < 80

    await scope.db.execute("UPDATE service SET next_run = now() - interval '90 s' WHERE name = 'foreman'")
    assert 89 < (await listed(scope, "foreman"))["behind"]["overdue_seconds"] < 170


async def test_who_reads_the_log_and_what_is_unread(scope: Scope) -> None:
    def ages() -> dict[str, float]:
        return {"task_run_recorder": 3.0, "actions": 1.0}

    replica = Replica(scope.db, ages)
    await replica.tell()
    consumer: Consumer = task_run_recorder.consumer(scope)
    await consumer.exist()
    found = await listed(scope, "task_run_recorder")
    assert (found["running_on"], found["last_run"], found["interval"]) == ([], None, None), "nobody has the lease"
    assert found["behind"] == {"events": 0, "oldest_seconds": None}

    assert await consumer._hold_lease()
    await scope.db.execute(
        """
        INSERT INTO event (occurred, received, workspace_id, id, event, resource_id, resource, resource_ids)
        SELECT now(), now() - make_interval(secs => 40 - n), $1, gen_random_uuid(), 'e', 'r', '{}', '{r}'
        FROM generate_series(1, 7) n
        """,
        scope.workspace_id,
    )
    found = await listed(scope, "task_run_recorder")
    assert found["running_on"] == [HERE]
    assert found["last_run"]["owner"] == HERE
    assert 2 < (datetime.now(UTC) - found["last_run"]["completed"]).total_seconds() < 80
    assert found["behind"]["events"] == 7
    assert 38 < found["behind"]["oldest_seconds"] < 120

    assert (await listed(scope, "actions"))["running_on"] == [HERE]
    await replica.leave()
    assert (await listed(scope, "actions"))["running_on"] == []


async def test_actions_that_nobody_claims(scope: Scope) -> None:
    assert (await listed(scope, "actions"))["behind"] == {"actions": 0, "oldest_seconds": None}
    await scope.db.execute(
        """
        INSERT INTO automation_action
            (id, workspace_id, firing_id, automation_id, action_index, action, triggered_by, status, due)
        SELECT gen_random_uuid(), $1, gen_random_uuid(), gen_random_uuid(), n, '{"type": "do-nothing"}', 'firing',
               CASE WHEN n = 4 THEN 'done' ELSE 'ready' END, now() - make_interval(secs => 10 * n)
        FROM generate_series(-1, 4) n
        """,
        scope.workspace_id,
    )
    behind = (await listed(scope, "actions"))["behind"]
    assert behind["actions"] == 4
    assert 29 < behind["oldest_seconds"] < 110


def test_the_words_for_it() -> None:
    assert _behind(None) == ""
    assert _behind({"overdue_seconds": 0.4}) == ""
    assert _behind({"overdue_seconds": 7200.0}) == "2 h"
    assert _behind({"events": 0, "oldest_seconds": None}) == ""
    assert _behind({"events": 12, "oldest_seconds": 3.2}) == "12 events,\noldest 3 s"
    run = {"owner": "host:7", "completed": datetime(2026, 1, 1, tzinfo=UTC), "error": "ValueError: no"}
    words = _last_run(run, datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC))
    assert words == "30 s ago\nby host:7\nsince then failed: ValueError: no"
