"""Deployment concurrency: who gets a slot, who keeps it, and that there are never more than the limit."""

from __future__ import annotations

import asyncio
import random
from uuid import uuid4

import pytest

from sempre.server.services import repossessor
from tests.integration.orchestration.conftest import Api, Json, lease_of

_LIVE = """
SELECT count(*) FROM concurrency_slot s JOIN deployment d ON d.concurrency_limit_id = s.limit_id
WHERE d.id = $1::uuid AND (s.expires_at IS NULL OR s.expires_at > clock_timestamp())
"""
OLD_CLIENTS = ["prefect/3.4.10 (API 0.8.4)", "curl/8.0"]


async def limited(api: Api, limit: int = 1, runs: int = 2, **options: object) -> tuple[str, list[Json]]:
    deployment = await api.deployment(concurrency_limit=limit, concurrency_options=options or None)
    return deployment, [await api.flow_run("SCHEDULED", deployment_id=deployment) for _ in range(runs)]


async def set_limit(api: Api, deployment: str, **changes: object) -> None:
    limit = (await api.get(f"/deployments/{deployment}"))["global_concurrency_limit"]
    await api.call("PATCH", f"/v2/concurrency_limits/{limit['id']}", changes, expect=204)


async def renewed(api: Api, lease: str, seconds: int = 60) -> int:
    return await api.code("POST", f"/v2/concurrency_limits/leases/{lease}/renew", {"lease_duration": seconds})


async def test_the_second_run_waits(api: Api) -> None:
    deployment, (first, second) = await limited(api)
    taken = await api.propose(first, "PENDING", expect=201)
    assert (taken["status"], await api.in_use(deployment)) == ("ACCEPT", 1)
    waiting = await api.propose(second, "PENDING", expect=201)
    assert (waiting["status"], waiting["state"]["name"]) == ("REJECT", "AwaitingConcurrencySlot")
    assert waiting["details"]["reason"] == "Deployment concurrency limit reached."
    read = await api.reread(second)
    assert read["expected_start_time"] == second["expected_start_time"] < read["next_scheduled_start_time"]
    assert read["empirical_policy"]["retry_type"] is None
    await api.propose(first, "RUNNING", expect=201)
    assert (await api.propose(first, "COMPLETED"))["status"] == "ACCEPT"
    assert await api.in_use(deployment) == 0
    # Taken before its time, it keeps the time.
    assert (await api.propose(second, "PENDING"))["status"] == "ACCEPT"
    early = await api.propose(second, "RUNNING", expect=200)
    assert (early["status"], await api.in_use(deployment)) == ("WAIT", 1)
    assert 25 <= early["details"]["delay_seconds"] <= 30


async def test_the_second_run_is_cancelled(api: Api) -> None:
    _, (first, second) = await limited(api, collision_strategy="CANCEL_NEW")
    await api.propose(first, "PENDING")
    refused = await api.propose(second, "PENDING", expect=201)
    assert (refused["status"], refused["state"]["type"]) == ("REJECT", "CANCELLED")
    assert refused["state"]["message"] == refused["details"]["reason"] == "Deployment concurrency limit reached."


async def test_a_limit_of_nothing_and_an_inactive_one(api: Api) -> None:
    deployment, (first, second) = await limited(api)
    await set_limit(api, deployment, limit=0)
    refused = await api.propose(first, "PENDING", expect=200)
    assert (refused["status"], refused["details"]["reason"]) == (
        "ABORT",
        "The deployment concurrency limit is 0. The flow will deadlock if submitted again.",
    )
    await set_limit(api, deployment, active=False)
    for run in (first, second):
        assert (await api.propose(run, "PENDING"))["status"] == "ACCEPT"
        assert (await api.propose(run, "RUNNING"))["status"] == "ACCEPT"


async def test_the_lease_goes_with_the_run(api: Api) -> None:
    _, (run, _) = await limited(api)
    lease = lease_of(await api.propose(run, "PENDING"))
    submitting = {"type": "PENDING", "name": "Submitting", "state_details": {"deployment_concurrency_lease_id": None}}
    assert lease_of(await api.propose(run, submitting)) == lease
    assert lease_of(await api.propose(run, "RUNNING")) == lease
    codes = [await renewed(api, lease, seconds) for seconds in (59, 60, 300, 86400, 86401)]
    assert codes == [422, 204, 204, 204, 422]
    assert await renewed(api, str(uuid4())) == 410
    # The state still names the lease; there is none any more.
    assert lease_of(await api.propose(run, "COMPLETED")) == lease
    assert await renewed(api, lease) == 410


@pytest.mark.parametrize("agent", OLD_CLIENTS)
async def test_clients_that_do_not_renew_hold_their_slot(api: Api, agent: str) -> None:
    deployment, (first, second) = await limited(api)
    api.client.headers["User-Agent"] = agent
    lease = lease_of(await api.propose(first, "PENDING"))
    await api.propose(first, "RUNNING", expect=201)
    assert await renewed(api, lease) == 410
    await api.expire(first)
    await repossessor.run(api.scope)
    assert (await api.propose(second, "PENDING"))["state"]["name"] == "AwaitingConcurrencySlot"
    await api.propose(first, "COMPLETED", expect=201)
    assert await api.in_use(deployment) == 0


async def test_clients_that_cannot_wait_are_not_limited(api: Api) -> None:
    deployment, runs = await limited(api)
    api.client.headers["User-Agent"] = "prefect/3.0.1 (API 0.8.4)"
    for run in runs:
        assert (await api.propose(run, "PENDING"))["status"] == "ACCEPT"
    assert await api.in_use(deployment) == 0


async def test_a_retry_in_the_process_keeps_the_slot(api: Api) -> None:
    deployment, (run, other) = await limited(api)
    await api.call("PATCH", f"/flow_runs/{run['id']}", {"empirical_policy": {"retries": 1}}, expect=204)
    for state in ("PENDING", "RUNNING"):
        lease = lease_of(await api.propose(run, state))
    failed = await api.propose(run, "FAILED")
    assert (failed["state"]["name"], lease_of(failed)) == ("AwaitingRetry", lease)
    assert (await api.reread(run))["empirical_policy"]["retry_type"] == "in_process"
    assert (await api.propose(other, "PENDING"))["state"]["name"] == "AwaitingConcurrencySlot"
    assert (await api.propose(run, "RUNNING"))["status"] == "ACCEPT"
    # Rescheduled by somebody else it goes elsewhere, and its slot is free.
    await api.propose(run, {"type": "SCHEDULED", "name": "AwaitingRetry"})
    assert await api.in_use(deployment) == 0


@pytest.mark.parametrize(
    ("state", "held"),
    [("CANCELLING", 1), ("CANCELLED", 0), ("SCHEDULED", 0), ("CRASHED", 0), ("PAUSED", 1), ("SUSPENDED", 0)],
)
async def test_what_becomes_of_the_slot_of_a_running_run(api: Api, state: str, held: int) -> None:
    deployment, (run, _) = await limited(api)
    for step in ("PENDING", "RUNNING"):
        await api.propose(run, step)
    suspended = {"type": "PAUSED", "name": "Suspended", "state_details": {"pause_reschedule": True}}
    await api.propose(run, suspended if state == "SUSPENDED" else state, expect=201)
    assert await api.in_use(deployment) == held
    await api.propose(run, "CANCELLED", force=True)
    assert await api.in_use(deployment) == 0


async def test_a_slot_lost_while_provisioning(api: Api) -> None:
    deployment, (first, second) = await limited(api)
    await api.propose(first, "PENDING")
    await api.expire(first)
    assert (await api.propose(second, "PENDING"))["status"] == "ACCEPT"
    lost = await api.propose(first, "RUNNING", expect=201)
    assert (lost["status"], lost["state"]["type"]) == ("REJECT", "CANCELLED")
    assert lost["details"]["reason"] == "Deployment concurrency limit reached after lease expiry."
    assert lost["state"]["message"] == (
        "Deployment concurrency slot lost during provisioning - no slots available to continue execution"
    )
    assert await api.in_use(deployment) == 1  # of the second run


@pytest.mark.parametrize("collected", [False, True])
async def test_a_slot_that_ran_out_is_taken_anew(api: Api, collected: bool) -> None:
    deployment, (run, _) = await limited(api)
    before = lease_of(await api.propose(run, "PENDING"))
    await api.expire(run)
    assert await api.in_use(deployment) == 0
    if collected:
        await repossessor.run(api.scope)
    started = await api.propose(run, "RUNNING", expect=201)
    assert started["status"] == "ACCEPT"
    assert lease_of(started) != before
    assert (await renewed(api, before), await renewed(api, lease_of(started))) == (410, 204)
    assert await api.in_use(deployment) == 1


async def test_a_slot_that_ran_out_does_not_come_back_beyond_a_lowered_limit(api: Api) -> None:
    deployment, (first, second, third) = await limited(api, limit=2, runs=3)
    for run in (first, second):
        await api.propose(run, "PENDING")
    number = await _slot_of(api, first)
    upper, lower = (first, second) if number == 2 else (second, first)
    await api.expire(upper)
    await set_limit(api, deployment, limit=1)
    refused = await api.propose(upper, "RUNNING", expect=201)
    assert refused["state"]["type"] == "CANCELLED"
    assert await api.in_use(deployment) == 1
    # The number above the limit is given up for one that counts.
    await api.propose(lower, "CANCELLED")
    await set_limit(api, deployment, limit=2)
    await api.propose(third, "PENDING")
    await api.scope.db.execute("UPDATE concurrency_slot SET slot = 2 WHERE run_id = $1::uuid", third["id"])
    await api.expire(third)
    await set_limit(api, deployment, limit=1)
    assert (await api.propose(third, "RUNNING", expect=201))["status"] == "ACCEPT"
    assert await _slot_of(api, third) == 1


async def _slot_of(api: Api, run: Json) -> int:
    return int(await api.scope.db.fetchval("SELECT slot FROM concurrency_slot WHERE run_id = $1::uuid", run["id"]))


async def test_deletion_gives_the_slot_back(api: Api) -> None:
    deployment, (first, second) = await limited(api)
    lease = lease_of(await api.propose(first, "PENDING"))
    await api.call("DELETE", f"/flow_runs/{first['id']}", expect=204)
    assert (await api.in_use(deployment), await renewed(api, lease)) == (0, 410)
    assert (await api.propose(second, "PENDING"))["status"] == "ACCEPT"


@pytest.mark.parametrize("change", ["delete", "inactive", "zero"])
async def test_a_run_ends_whatever_became_of_its_limit(api: Api, change: str) -> None:
    deployment, (run, _) = await limited(api)
    for step in ("PENDING", "RUNNING"):
        await api.propose(run, step)
    limit = (await api.get(f"/deployments/{deployment}"))["global_concurrency_limit"]
    if change == "delete":
        await api.call("DELETE", f"/v2/concurrency_limits/{limit['id']}", expect=204)
    else:
        await set_limit(api, deployment, **({"active": False} if change == "inactive" else {"limit": 0}))
    assert (await api.propose(run, "COMPLETED", expect=201))["status"] == "ACCEPT"


async def test_a_released_slot_is_not_released_twice(api: Api) -> None:
    deployment, (first, second) = await limited(api)
    for step in ("PENDING", "RUNNING"):
        await api.propose(first, step)
    await api.propose(first, "SCHEDULED")
    await api.propose(second, "PENDING")
    await api.propose(first, "CANCELLED")
    await api.propose(first, "FAILED", force=True)
    assert await api.in_use(deployment) == 1
    assert await api.code("POST", "/v2/concurrency_limits/decrement-with-lease", {"lease_id": str(uuid4())}) == 204


async def _wander(api: Api, run: Json, seed: int, steps: int) -> None:
    dice = random.Random(seed)
    for _ in range(steps):
        state = dice.choice(("PENDING", "PENDING", "RUNNING", "RUNNING", "SCHEDULED", "FAILED", "EXPIRE", "COLLECT"))
        if state == "EXPIRE":
            await api.expire(run)
        elif state == "COLLECT":
            await repossessor.run(api.scope)
        else:
            await api.propose(run, state)


@pytest.mark.parametrize("limit", [1, 3])
async def test_never_more_than_the_limit(api: Api, replica: Api, limit: int) -> None:
    """Runs come and go on two replicas, their slots run out and are taken again."""
    deployment, runs = await limited(api, limit=limit, runs=8)
    done = False
    most = limit

    async def watch() -> None:
        while not done:
            assert await api.scope.db.fetchval(_LIVE, deployment) <= most
            await asyncio.sleep(0)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(_wander((api, replica)[seed % 2], run, seed, 25) for seed, run in enumerate(runs)))
    done = True
    await watching
    for run in runs:
        await api.propose(run, "CANCELLED", force=True)
    ids = [run["id"] for run in runs]
    held = "SELECT count(*) FROM concurrency_slot WHERE run_id = ANY($1::uuid[])"
    assert await api.scope.db.fetchval(held, ids) == 0
    await repossessor.run(api.scope)
    leased = "SELECT count(*) FROM concurrency_lease WHERE holder_id = ANY($1::uuid[])"
    assert await api.scope.db.fetchval(leased, ids) == 0


async def test_an_expired_slot_has_one_successor(api: Api, replica: Api) -> None:
    """Its holder goes on, or another takes it over; never both."""
    for _ in range(10):
        deployment, (holder, *others) = await limited(api, runs=5)
        await api.propose(holder, "PENDING")
        await api.expire(holder)
        answers = await asyncio.gather(
            replica.propose(holder, "RUNNING"),
            *((api, replica)[number % 2].propose(run, "PENDING") for number, run in enumerate(others)),
        )
        assert [answer["status"] for answer in answers].count("ACCEPT") == 1
        assert await api.in_use(deployment) == 1


async def test_twenty_claims_of_one_run(api: Api, replica: Api) -> None:
    deployment, (run, _) = await limited(api, limit=5)
    answers = await asyncio.gather(*((api, replica)[number % 2].propose(run, "PENDING") for number in range(20)))
    assert [answer["status"] for answer in answers].count("ACCEPT") == 1
    assert {answer["status"] for answer in answers} == {"ACCEPT", "ABORT"}
    assert await api.in_use(deployment) == 1
