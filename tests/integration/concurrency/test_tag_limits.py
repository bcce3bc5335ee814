"""``/concurrency_limits``: the older view, by task tag."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

from tests.integration.concurrency.conftest import Api

NOT_FOUND = (404, {"detail": "Concurrency limit not found"})


async def tagged(api: Api, limit: int) -> tuple[str, dict[str, Any]]:
    tag = f"tag-{uuid4().hex[:8]}"
    made = await api.post("/concurrency_limits/", tag=tag, concurrency_limit=limit)
    assert made.status_code == 201
    return tag, made.json()


async def holders(api: Api, tag: str) -> list[str]:
    return list((await api.call("GET", f"/concurrency_limits/tag/{tag}")).json()["active_slots"])


async def test_set_read_delete(api: Api) -> None:
    tag, made = await tagged(api, 2)
    assert {key: made[key] for key in ("tag", "concurrency_limit", "active_slots")} == {
        "tag": tag, "concurrency_limit": 2, "active_slots": [],
    }  # fmt: skip
    changed = await api.post("/concurrency_limits/", tag=tag, concurrency_limit=3)
    assert (changed.status_code, changed.json()["id"], changed.json()["concurrency_limit"]) == (200, made["id"], 3)
    assert (await api.call("GET", f"/concurrency_limits/{made['id']}")).json()["tag"] == tag
    await api.limit(1)
    listed = (await api.post("/concurrency_limits/filter", limit=200, offset=0)).json()
    assert [each["concurrency_limit"] for each in listed if each["tag"] == tag] == [3]
    assert (await api.call("GET", f"/v2/concurrency_limits/tag:{tag}")).json()["limit"] == 3
    deleted = await api.call("DELETE", f"/concurrency_limits/{made['id']}")
    assert (deleted.status_code, deleted.json()) == (200, None)
    for path in (made["id"], f"tag/{tag}"):
        for method in ("GET", "DELETE"):
            missing = await api.call(method, f"/concurrency_limits/{path}")
            assert (missing.status_code, missing.json()) == NOT_FOUND
    assert (await api.post("/concurrency_limits/", tag=tag, concurrency_limit=-1)).status_code == 422


async def test_take_and_give_back(api: Api) -> None:
    tag, made = await tagged(api, 2)
    one, two, three = (str(uuid4()) for _ in range(3))
    for run in (one, two, one):  # a run that holds one has it
        taken = await api.post("/concurrency_limits/increment", names=[tag, "unlimited"], task_run_id=run)
        assert (taken.status_code, taken.json()) == (200, [{"id": made["id"], "name": tag, "limit": 2}])
    assert await holders(api, tag) == sorted((one, two))
    assert await api.active(f"tag:{tag}") == 2
    full = await api.post("/concurrency_limits/increment", names=[tag], task_run_id=three)
    assert (full.status_code, full.headers["retry-after"]) == (423, "10.0")
    assert full.json() == {"detail": f"Concurrency limit for the {tag} tag has been reached"}
    back = await api.post("/concurrency_limits/decrement", names=[tag], task_run_id=one)
    assert back.json() == [{"id": made["id"], "name": f"tag:{tag}", "limit": 2}]
    assert await holders(api, tag) == [two]
    assert (await api.post("/concurrency_limits/increment", names=["unlimited"], task_run_id=one)).json() == []


async def test_zero_is_a_deadlock(api: Api) -> None:
    free, _ = await tagged(api, 5)
    none, _ = await tagged(api, 0)
    locked = await api.post("/concurrency_limits/increment", names=[free, none], task_run_id=str(uuid4()))
    assert locked.status_code == 423
    assert locked.json()["detail"] == (
        f'The concurrency limit on tag "{none}" is 0 and will deadlock if the task tries to run again.'
    )
    assert "retry-after" not in locked.headers
    assert await holders(api, free) == []


async def test_reset(api: Api) -> None:
    tag, _ = await tagged(api, 2)
    other, _ = await tagged(api, 2)
    one, two = str(uuid4()), str(uuid4())
    lease = await api.lease(f"tag:{tag}", f"tag:{other}", holder={"type": "task_run", "id": one})
    await api.v2("increment", names=[f"tag:{tag}"], slots=1)
    assert await holders(api, tag) == [one]
    assert await api.active(f"tag:{tag}") == 2
    reset = await api.post(f"/concurrency_limits/tag/{tag}/reset", slot_override=[two])
    assert (reset.status_code, reset.json()) == (200, None)
    assert await holders(api, tag) == [two]
    assert await api.active(f"tag:{tag}") == 1
    assert await api.active(f"tag:{other}") == 0
    assert await api.renew(str(lease)) == 410
    await api.post("/concurrency_limits/decrement", names=[tag], task_run_id=two)
    assert await api.active(f"tag:{tag}") == 0
    await api.post("/concurrency_limits/increment", names=[tag], task_run_id=one)
    assert (await api.post(f"/concurrency_limits/tag/{tag}/reset", slot_override=None)).status_code == 200
    assert await api.active(f"tag:{tag}") == 0
    missing = await api.post("/concurrency_limits/tag/none-such/reset")
    assert (missing.status_code, missing.json()) == NOT_FOUND


async def test_parallel_takes_of_one_run_are_one(api: Api, replica: Api) -> None:
    tag, _ = await tagged(api, 3)
    run = str(uuid4())
    answers = await asyncio.gather(
        *((api, replica)[i % 2].post("/concurrency_limits/increment", names=[tag], task_run_id=run) for i in range(10))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert await api.active(f"tag:{tag}") == 1
    await api.post("/concurrency_limits/decrement", names=[tag], task_run_id=run)
    assert await api.active(f"tag:{tag}") == 0
