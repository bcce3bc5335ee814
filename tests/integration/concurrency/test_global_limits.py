"""``/v2/concurrency_limits``: limits, counts, rates, leases."""

from __future__ import annotations

from uuid import uuid4

from sempre.server.services import repossessor
from tests.integration.concurrency.conftest import Api

GONE = {"detail": "Lease not found - it may have expired or been revoked"}


async def test_create_read_change_delete(api: Api) -> None:
    made = await api.v2("", name=f"x-{uuid4().hex}", limit=3, active_slots=2)
    assert made.status_code == 201
    record = made.json()
    assert {key: record[key] for key in ("limit", "active", "active_slots", "denied_slots")} == {
        "limit": 3, "active": True, "active_slots": 2, "denied_slots": 0,
    }  # fmt: skip
    assert record["avg_slot_occupancy_seconds"] == 2.0
    again = await api.v2("", name=record["name"], limit=3)
    assert again.status_code == 409
    assert again.json()["detail"].startswith("Data integrity conflict.")

    by_id = await api.call("GET", f"/v2/concurrency_limits/{record['id']}")
    by_name = await api.call("GET", f"/v2/concurrency_limits/{record['name']}")
    assert by_id.json() == by_name.json()
    assert set(by_id.json()) == {
        "id", "created", "updated", "active", "name", "limit", "active_slots", "slot_decay_per_second",
    }  # fmt: skip

    assert (await api.call("PATCH", f"/v2/concurrency_limits/{record['name']}", {"limit": 7})).status_code == 204
    assert (await api.call("PATCH", f"/v2/concurrency_limits/{record['id']}", {"limit": None})).status_code == 409
    assert (await api.call("PATCH", f"/v2/concurrency_limits/{record['id']}", {"nope": 1})).status_code == 422
    listed = (await api.v2("filter", limit=200)).json()
    assert [each["limit"] for each in listed if each["id"] == record["id"]] == [7]
    assert [each["name"] for each in listed] == sorted(each["name"] for each in listed)

    assert (await api.call("DELETE", f"/v2/concurrency_limits/{record['id']}")).status_code == 204
    for method in ("GET", "PATCH", "DELETE"):
        missing = await api.call(method, f"/v2/concurrency_limits/{record['name']}", {} if method == "PATCH" else None)
        assert (missing.status_code, missing.json()) == (404, {"detail": "Concurrency Limit not found"})
    left = await api.scope.db.fetchval(
        "SELECT count(*) FROM concurrency_slot WHERE limit_id = $1::text::uuid", record["id"]
    )
    assert left == 0
    events = await api.scope.db.fetch(
        "SELECT event, payload FROM event WHERE resource_id = $1 ORDER BY seq",
        f"prefect.concurrency-limit.{record['id']}",
    )
    assert [e["event"].rpartition(".")[2] for e in events] == ["created", "updated", "deleted"]
    assert events[0]["payload"] == {
        "name": record["name"], "limit": 3, "active": True, "slot_decay_per_second": 0.0,
    }  # fmt: skip


async def test_counted_slots(api: Api) -> None:
    name = await api.limit(3)
    taken = await api.v2("increment", names=[name, "unknown"], slots=2)
    assert taken.status_code == 200
    assert [(each["name"], each["limit"]) for each in taken.json()] == [(name, 3)]
    assert await api.active(name) == 2
    full = await api.v2("increment", names=[name], slots=2)
    assert (full.status_code, full.json()) == (423, {"detail": "Locked"})
    # limit 3, slots 2: (2/3) * 2 s on average, drawn from 0.75 to 1.3 of that
    assert 1.0 <= float(full.headers["retry-after"]) <= 1.74
    too_many = await api.v2("increment", names=[name], slots=4)
    assert (too_many.status_code, too_many.json()) == (422, {"detail": "Slots requested is greater than the limit"})
    assert (await api.v2("increment", names=[name], slots=0)).status_code == 422
    await api.v2("decrement", names=[name], slots=1)
    assert await api.active(name) == 1
    leased = await api.lease(name)
    back = await api.v2("decrement", names=[name, "unknown"], slots=5)
    assert [each["name"] for each in back.json()] == [name]
    assert await api.active(name) == 1  # what a lease holds is not given back by count
    await api.give_back(str(leased))
    assert await api.active(name) == 0
    assert (await api.v2("increment", names=[], slots=1)).json() == []


async def test_all_or_nothing(api: Api) -> None:
    wide, narrow = await api.limit(5), await api.limit(1)
    assert await api.lease(narrow)
    assert await api.lease(wide, narrow) is None
    assert await api.active(wide) == 0
    rate = await api.limit(1, slot_decay_per_second=0.001)
    assert (await api.v2("increment", names=[rate], slots=1)).status_code == 200
    assert (await api.v2("increment", names=[wide, rate], slots=1)).status_code == 423
    assert await api.active(wide) == 0


async def test_refusals_are_remembered_and_forgotten(api: Api) -> None:
    name = await api.limit(1)
    assert await api.lease(name)
    waits = [float((await api.v2("increment", names=[name], slots=1)).headers["retry-after"]) for _ in range(6)]
    assert waits[-1] > 2.6 >= waits[0], waits  # the first: 2 s on average, at most 2.6
    denied = "SELECT denied_slots FROM concurrency_limit WHERE name = $1"
    assert await api.scope.db.fetchval(denied, name) == 6
    await api.age(name, 60)
    assert (await api.v2("increment", names=[name], slots=1)).status_code == 423
    assert await api.scope.db.fetchval(denied, name) == 1


async def test_rates_decay(api: Api) -> None:
    name = await api.limit(3, slot_decay_per_second=0.5)
    assert (await api.v2("increment", names=[name], slots=3, mode="rate_limit")).status_code == 200
    full = await api.v2("increment", names=[name], slots=1, mode="rate_limit")
    assert full.status_code == 423
    assert 1.5 <= float(full.headers["retry-after"]) <= 2.6
    assert await api.active(name) == 3
    await api.age(name, 4)
    assert await api.active(name) == 1
    assert (await api.v2("increment", names=[name], slots=2)).status_code == 200
    assert await api.active(name) == 3
    await api.v2("decrement", names=[name], slots=1)
    assert await api.active(name) == 2

    steady = await api.limit(3)
    refused = await api.v2("increment", names=[steady], slots=1, mode="rate_limit")
    assert refused.status_code == 422
    assert refused.json()["detail"].endswith(f"do not have a decay configured: '{steady}'")


async def test_occupancy_moves_the_average(api: Api) -> None:
    name = await api.limit(2)
    average = "SELECT avg_slot_occupancy_seconds FROM concurrency_limit WHERE name = $1"
    for expected in (14.0, 23.0):
        await api.v2("increment", names=[name], slots=2)
        await api.v2("decrement", names=[name], slots=2, occupancy_seconds=100)
        assert abs(await api.scope.db.fetchval(average, name) - expected) < 1e-6
    lease = await api.lease(name)
    assert lease
    await api.scope.db.execute(
        "UPDATE concurrency_lease SET created = created - interval '63 s' WHERE id = $1::text::uuid", lease
    )
    await api.give_back(lease)
    assert abs(await api.scope.db.fetchval(average, name) - (23 + (63 - 23) / 4)) < 8


async def test_inactive_limits_let_everybody_in(api: Api) -> None:
    name = await api.limit(1, active=False)
    taken = await api.v2("increment-with-lease", names=[name], slots=5)
    assert [each["name"] for each in taken.json()["limits"]] == [name]
    assert await api.active(name) == 0
    assert await api.renew(taken.json()["lease_id"]) == 204


async def test_lease_life(api: Api) -> None:
    name = await api.limit(2)
    lease = await api.lease(name, slots=2, holder={"type": "task_run", "id": str(uuid4())})
    assert lease
    assert await api.active(name) == 2
    assert await api.renew(lease, lease_duration=60) == 204
    assert await api.renew(lease) == 204
    assert await api.renew(lease, lease_duration=59) == 422
    await api.give_back(lease)
    await api.give_back(lease)
    assert await api.active(name) == 0
    gone = await api.v2(f"leases/{lease}/renew", lease_duration=60)
    assert (gone.status_code, gone.json()) == (410, GONE)
    nothing = await api.v2("increment-with-lease", names=["unknown"], slots=1)
    assert nothing.json()["limits"] == []
    assert await api.renew(nothing.json()["lease_id"]) == 204
    assert (await api.v2("increment-with-lease", names=[name], slots=1, lease_duration=59)).status_code == 422


async def test_an_expired_lease_lives_again_unless_taken_over(api: Api) -> None:
    name = await api.limit(2)
    first = await api.lease(name, slots=2)
    assert first
    await api.expire(first)
    assert await api.active(name) == 0
    assert await api.renew(first) == 204
    assert await api.active(name) == 2
    await api.expire(first)
    second = await api.lease(name)
    assert second
    assert await api.renew(first) == 410
    assert await api.active(name) == 1
    await api.give_back(first)
    assert await api.active(name) == 1


async def test_nothing_lives_again_beyond_a_lowered_limit(api: Api) -> None:
    name = await api.limit(3)
    leases = [await api.lease(name) for _ in range(3)]
    for lease in leases:
        assert lease
        await api.expire(lease)
    assert (await api.call("PATCH", f"/v2/concurrency_limits/{name}", {"limit": 1})).status_code == 204
    answers = sorted([await api.renew(str(lease)) for lease in leases])
    assert answers == [204, 410, 410]
    assert await api.active(name) == 1


async def test_repossession_of_all_kinds(api: Api, replica: Api) -> None:
    steady, rate = await api.limit(4), await api.limit(4, slot_decay_per_second=1e-9)
    both = await api.lease(steady, rate, slots=3)
    kept = await api.lease(steady)
    assert both
    assert kept
    await api.expire(both)
    for scope in (api.scope, replica.scope, api.scope):
        await repossessor.run(scope)
    assert (await api.active(steady), await api.active(rate)) == (1, 0)
    assert await api.renew(both) == 410
    assert await api.renew(kept) == 204
    rows = await api.scope.db.fetchval(
        "SELECT count(*) FROM concurrency_slot WHERE limit_id = (SELECT id FROM concurrency_limit WHERE name = $1)",
        steady,
    )
    assert rows == 1


async def test_active_slots_can_be_set(api: Api) -> None:
    name = await api.limit(5)
    path = f"/v2/concurrency_limits/{name}"
    lease = await api.lease(name, slots=2)
    await api.v2("increment", names=[name], slots=2)
    for target, expected in ((5, 5), (3, 3), (0, 2), (99, 5), (2, 2)):
        assert (await api.call("PATCH", path, {"active_slots": target})).status_code == 204
        assert await api.active(name) == expected
    assert lease
    assert await api.renew(lease) == 204
    assert (await api.call("PATCH", path, {"active_slots": None})).status_code == 409


async def test_a_limit_may_change_its_kind(api: Api) -> None:
    name = await api.limit(5)
    path = f"/v2/concurrency_limits/{name}"
    lease = await api.lease(name)
    await api.v2("increment", names=[name], slots=2)
    assert (await api.call("PATCH", path, {"slot_decay_per_second": 1e-9})).status_code == 204
    assert await api.active(name) == 3
    assert (await api.call("PATCH", path, {"active_slots": 4})).status_code == 204
    assert await api.active(name) == 4
    assert (await api.call("PATCH", path, {"slot_decay_per_second": 0})).status_code == 204
    assert await api.active(name) == 1
    assert lease
    assert await api.renew(lease) == 204
    await api.give_back(lease)
    assert await api.active(name) == 0


async def test_a_deleted_limit_does_not_end_leases(api: Api) -> None:
    kept, doomed = await api.limit(1), await api.limit(1)
    lease = await api.lease(kept, doomed)
    assert lease
    assert (await api.call("DELETE", f"/v2/concurrency_limits/{doomed}")).status_code == 204
    assert await api.renew(lease) == 204
    await api.give_back(lease)
    assert await api.active(kept) == 0
