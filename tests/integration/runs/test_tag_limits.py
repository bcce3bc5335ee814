"""Task runs under limits of their tags, where the server orchestrates them."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from sempre.server.scope import Scope
from tests.integration.runs.conftest import Api, Json, outcome_of


@pytest.fixture
def tag() -> str:
    return uuid4().hex


async def limit(scope: Scope, tag: str, slots: int) -> None:
    await scope.db.execute(
        "INSERT INTO concurrency_limit (id, workspace_id, name, slot_limit) VALUES (gen_random_uuid(), $1, $2, $3)",
        scope.workspace_id,
        f"tag:{tag}",
        slots,
    )


async def in_use(scope: Scope, tag: str) -> int:
    count: int = await scope.db.fetchval(
        "SELECT count(*) FROM concurrency_slot s JOIN concurrency_limit l ON l.id = s.limit_id WHERE l.name = $1",
        f"tag:{tag}",
    )
    return count


async def runs_with(api: Api, tag: str, count: int) -> list[Json]:
    flow_run = await api.flow_run("RUNNING")
    return [await api.task_run(flow_run["id"], tags=[tag]) for _ in range(count)]


async def test_a_slot_is_waited_for_and_given_back(api: Api, scope: Scope, tag: str) -> None:
    await limit(scope, tag, 1)
    first, second = await runs_with(api, tag, 2)
    await api.propose(first, "RUNNING", expect=201)
    result = await api.propose(second, "RUNNING", expect=200)
    assert outcome_of(result) == ("WAIT", "PENDING")
    assert result["details"]["reason"] == f"Concurrency limit reached for tags: {tag}"
    assert isinstance(result["details"]["delay_seconds"], int)
    # Who has a slot keeps it in another attempt.
    assert outcome_of(await api.propose(first, "RUNNING")) == ("ACCEPT", "RUNNING")
    assert await in_use(scope, tag) == 1
    await api.propose(first, "COMPLETED")
    assert await in_use(scope, tag) == 0
    assert outcome_of(await api.propose(second, "RUNNING")) == ("ACCEPT", "RUNNING")
    await api.call("DELETE", f"/task_runs/{second['id']}", expect=204)
    assert await in_use(scope, tag) == 0


async def test_no_more_than_the_limit_run_at_once(api: Api, scope: Scope, tag: str) -> None:
    await limit(scope, tag, 3)
    runs = await runs_with(api, tag, 12)
    results = await asyncio.gather(*(api.propose(run, "RUNNING") for run in runs))
    assert sorted(result["status"] for result in results) == ["ACCEPT"] * 3 + ["WAIT"] * 9
    assert await in_use(scope, tag) == 3
    await asyncio.gather(*(api.propose(run, "CANCELLED", force=True) for run in runs))
    assert await in_use(scope, tag) == 0


async def test_a_limit_of_nothing_ends_the_run(api: Api, scope: Scope, tag: str) -> None:
    await limit(scope, tag, 0)
    (run,) = await runs_with(api, tag, 1)
    result = await api.propose(run, "RUNNING", expect=200)
    assert (result["status"], result["details"]["reason"]) == (
        "ABORT",
        f'The concurrency limit on tag "{tag}" is 0 and will deadlock if the task tries to run again.',
    )
