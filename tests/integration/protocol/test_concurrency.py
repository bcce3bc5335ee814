"""Concurrency limits, global and of tags: every status and text."""

from __future__ import annotations

from typing import Any

from tests.integration.protocol.facts import INTEGRITY, NOBODY, Fact, Invalid, detail, hold
from tests.support.rooms import Rooms

V2 = "/v2/concurrency_limits"
V1 = "/concurrency_limits"
FIRST, SECOND, THIRD = (f"00000000-0000-4000-8000-00000000000{n}" for n in (1, 2, 3))
MISSING = detail("Concurrency Limit not found")
GONE = detail("Lease not found - it may have expired or been revoked")
TOO_MUCH, NEGATIVE = (
    detail("Invalid limit: must be less than or equal to 200."),
    detail("Invalid limit: must be greater than or equal to 0."),
)


async def test_global_limits(rooms: Rooms) -> None:
    def makes(status: int, answer: Any, **body: Any) -> Fact:
        return Fact("POST", f"{V2}/", {"name": "x", "limit": 1, **body}, status, answer)

    def changes(status: int, answer: Any, **body: Any) -> Fact:
        return Fact("PATCH", f"{V2}/g", body, status, answer)

    made = await rooms.post(f"{V2}/", {"name": "g", "limit": 2}, 201)
    assert (made["denied_slots"], made["avg_slot_occupancy_seconds"]) == (0, 2.0)
    shown = {"id", "created", "updated", "active", "name", "limit", "active_slots", "slot_decay_per_second"}
    nullable = ("limit", "active", "name", "slot_decay_per_second", "denied_slots", "active_slots")
    await hold(
        rooms,
        [
            makes(409, INTEGRITY, name="g"),
            makes(422, Invalid("string_pattern_mismatch", "name"), name="a/b"),
            makes(422, Invalid("greater_than_equal", "limit"), limit=-1),
            makes(422, Invalid("greater_than_equal", "slot_decay_per_second"), slot_decay_per_second=-1),
            makes(422, Invalid("extra_forbidden"), zz=1),
            makes(201, lambda b: (b["limit"], b["active"]) == (0, False), name="off", limit=0, active=False),
            makes(201, lambda b: b["name"] == NOBODY, name=NOBODY),
            ("GET", f"{V2}/g", None, 200, lambda b: b.keys() == shown),
            ("GET", f"{V2}/{made['id']}", None, 200, lambda b: b["name"] == "g"),
            ("GET", f"{V2}/{made['id'].replace('-', '').upper()}", None, 200, lambda b: b["name"] == "g"),
            ("GET", f"{V2}/{NOBODY}", None, 404, MISSING),  # a text that may be an id is one
            ("GET", f"{V2}/none", None, 404, MISSING),
            ("PATCH", f"{V2}/none", {}, 404, MISSING),
            ("DELETE", f"{V2}/none", None, 404, MISSING),
            *(changes(409, INTEGRITY, **{name: None}) for name in nullable),
            changes(409, INTEGRITY, name="off"),
            changes(422, Invalid("extra_forbidden"), zz=1),
            changes(204, None, active_slots=2),
            ("GET", f"{V2}/g", None, 200, lambda b: b["active_slots"] == 2),
            changes(204, None, active_slots=0),
            ("POST", f"{V2}/filter", {}, 200, lambda b: [limit["name"] for limit in b] == [NOBODY, "g", "off"]),
            ("POST", f"{V2}/filter", {"limit": 201}, 422, TOO_MUCH),
            ("POST", f"{V2}/filter", {"limit": -1}, 422, NEGATIVE),
            ("POST", f"{V2}/filter", {"offset": -1}, 422, Invalid("greater_than_equal", "offset")),
            ("DELETE", f"{V2}/g", None, 204),
        ],
    )


async def test_taking_and_giving_back(rooms: Rooms) -> None:
    limits = {}
    for body in (
        {"name": "t", "limit": 2},
        {"name": "rate", "limit": 3, "slot_decay_per_second": 0.001},
        {"name": "closed", "limit": 1, "active": False},
        {"name": "zero", "limit": 0},
    ):
        limits[str(body["name"])] = (await rooms.post(f"{V2}/", body, 201))["id"]

    def taken(*names: str) -> list[dict[str, Any]]:
        size = {"t": 2, "rate": 3, "closed": 1, "zero": 0}
        return [{"id": limits[name], "name": name, "limit": size[name]} for name in names]

    def takes(status: int, answer: Any, *names: str, slots: Any = 1, **more: Any) -> list[Fact]:
        body = {"names": [*names], "slots": slots, **more}

        def leased(body: Any) -> bool:
            return bool(body["limits"] == answer and body["lease_id"])

        return [
            Fact("POST", f"{V2}/increment", body, status, answer),
            Fact("POST", f"{V2}/increment-with-lease", body, status, leased if status == 200 else answer),
        ]

    def gives(answer: Any, *names: str, slots: int = 1, **more: Any) -> Fact:
        return Fact("POST", f"{V2}/decrement", {"names": [*names], "slots": slots, **more}, 200, answer)

    def in_use(slots: int) -> Fact:
        return Fact("GET", f"{V2}/t", None, 200, lambda b: b["active_slots"] == slots)

    no_decay = detail(
        "Only concurrency limits with slot decay can be used for rate limiting. "
        "The following limits do not have a decay configured: 't'"
    )
    greater = detail("Slots requested is greater than the limit")
    locked = detail("Locked")
    await hold(
        rooms,
        [
            *takes(200, [], "none"),
            *takes(200, [], "none", create_if_missing=True),
            *takes(200, []),
            *takes(200, taken("closed"), "closed", slots=9),
            *takes(422, greater, "t", slots=3),
            *takes(422, greater, "zero"),
            *takes(422, no_decay, "rate", "t", mode="rate_limit"),
            *takes(422, Invalid("greater_than", "slots"), "t", slots=0),
            *takes(422, Invalid("", "mode"), "t", mode="other"),
            *takes(200, taken("rate"), "rate", mode="rate_limit"),
            in_use(0),
            *takes(200, taken("t"), "t", "none"),
            in_use(2),
            *takes(423, locked, "t", "rate"),  # all or nothing
            *takes(423, locked, "t"),
            ("GET", f"{V2}/rate", None, 200, lambda b: b["active_slots"] == 2),
            gives(taken("t"), "t", occupancy_seconds=4),
            gives(taken("t"), "t", slots=99),
            gives(taken("zero"), "zero", occupancy_seconds=5),
            gives([], "none"),
            gives([]),
            ("POST", f"{V2}/decrement", {"names": ["t"], "slots": 0}, 422, Invalid("greater_than", "slots")),
            ("POST", f"{V2}/increment-with-lease", {"names": ["t"], "slots": 1, "lease_duration": 59}, 422,
             Invalid("greater_than_equal", "lease_duration")),
            ("POST", f"{V2}/increment-with-lease", {"names": ["t"], "slots": 1, "lease_duration": 86401}, 422,
             Invalid("less_than_equal", "lease_duration")),
            ("POST", f"{V2}/increment-with-lease",
             {"names": ["t"], "slots": 1, "holder": {"type": "other", "id": NOBODY}}, 422, Invalid("", "holder.type")),
            ("POST", f"{V2}/leases/{NOBODY}/renew", {}, 410, GONE),
            ("POST", f"{V2}/leases/{NOBODY}/renew", {"lease_duration": 59}, 422, Invalid("greater_than_equal")),
            ("POST", f"{V2}/leases/none/renew", {}, 422, Invalid("uuid_parsing", "path.lease_id")),
            ("POST", f"{V2}/decrement-with-lease", {"lease_id": NOBODY}, 204),
            ("POST", f"{V2}/decrement-with-lease", {}, 422, Invalid("missing", "lease_id")),
        ],
    )  # fmt: skip


async def test_who_finds_no_slot_is_told_when_to_come_back(rooms: Rooms) -> None:
    await rooms.post(f"{V2}/", {"name": "full", "limit": 2}, 201)
    lease = await rooms.post(f"{V2}/increment-with-lease", {"names": ["full"], "slots": 2})
    refused = await rooms.http.post(f"/api{V2}/increment", json={"names": ["full"], "slots": 2})
    assert (refused.status_code, refused.json()) == (423, {"detail": "Locked"})
    assert 1.5 <= float(refused.headers["retry-after"]) <= 2.6  # 2 s of occupancy, 2 slots of 2
    await hold(
        rooms,
        [
            ("POST", f"{V2}/leases/{lease['lease_id']}/renew", {"lease_duration": 60}, 204),
            ("POST", f"{V2}/decrement-with-lease", {"lease_id": lease["lease_id"]}, 204),
            ("POST", f"{V2}/decrement-with-lease", {"lease_id": lease["lease_id"]}, 204),
            ("GET", f"{V2}/full", None, 200, lambda b: b["active_slots"] == 0),
            ("POST", f"{V2}/leases/{lease['lease_id']}/renew", {}, 410, GONE),
        ],
    )


async def test_limits_of_tags(rooms: Rooms) -> None:
    await rooms.post(f"{V2}/", {"name": "aaa", "limit": 1}, 201)
    made = await rooms.post(f"{V1}/", {"tag": "t", "concurrency_limit": 1}, 201)
    again = await rooms.post(f"{V1}/", {"tag": "t", "concurrency_limit": 2}, 200)
    assert (again["id"], again["concurrency_limit"], again["active_slots"]) == (made["id"], 2, [])
    zero = await rooms.post(f"{V1}/", {"tag": "z", "concurrency_limit": 0}, 201)
    plain = await rooms.get(f"{V2}/aaa")
    missing = detail("Concurrency limit not found")

    def takes(status: int, answer: Any, run: str, *tags: str) -> Fact:
        return Fact("POST", f"{V1}/increment", {"names": [*tags], "task_run_id": run}, status, answer)

    def gives(answer: Any, run: str, *tags: str) -> Fact:
        return Fact("POST", f"{V1}/decrement", {"names": [*tags], "task_run_id": run}, 200, answer)

    def held(*runs: str) -> list[Fact]:
        return [
            Fact("GET", f"{V1}/tag/t", None, 200, lambda b: sorted(b["active_slots"]) == sorted(runs)),
            Fact("GET", f"{V2}/tag:t", None, 200, lambda b: b["active_slots"] == len(runs)),
        ]

    def resets(status: int, answer: Any, body: Any, tag: str = "t") -> Fact:
        return Fact("POST", f"{V1}/tag/{tag}/reset", body, status, answer)

    limit = {"id": made["id"], "name": "t", "limit": 2}
    deadlock = 'The concurrency limit on tag "z" is 0 and will deadlock if the task tries to run again.'
    reached = "Concurrency limit for the t tag has been reached"
    await hold(
        rooms,
        [
            ("POST", f"{V1}/", {"tag": "q"}, 422, Invalid("missing", "concurrency_limit")),
            ("GET", f"{V1}/{made['id']}", None, 200),
            ("GET", f"{V1}/{NOBODY}", None, 404, missing),
            ("GET", f"{V1}/{plain['id']}", None, 404, missing),
            ("GET", f"{V1}/tag/none", None, 404, missing),
            ("POST", f"{V1}/filter", {"limit": 1}, 200, lambda b: [one["tag"] for one in b] == ["t"]),
            ("POST", f"{V1}/filter", {"offset": 1}, 200, lambda b: [one["tag"] for one in b] == ["z"]),
            ("POST", f"{V1}/filter", {"limit": 201}, 422, TOO_MUCH),
            ("POST", f"{V1}/filter", {"limit": -1}, 422, NEGATIVE),
            takes(200, [limit], FIRST, "t", "none"),
            takes(200, [], FIRST, "none"),
            takes(423, detail(deadlock), SECOND, "t", "z"), *held(FIRST),
            takes(200, [limit], SECOND, "t"), *held(FIRST, SECOND),
            takes(423, detail(reached), THIRD, "t"),
            ("POST", f"{V1}/increment", {"names": ["t"]}, 422, Invalid("missing", "task_run_id")),
            gives([{**limit, "name": "tag:t"}], FIRST, "t"), *held(SECOND),
            gives([{**limit, "name": "tag:t"}], FIRST, "t"), *held(SECOND),
            gives([], FIRST, "none"),
            resets(200, None, {"slot_override": [FIRST]}), *held(FIRST),
            resets(200, None, {"slot_override": None}), *held(),
            resets(200, None, {"slot_override": [FIRST, SECOND, THIRD]}), *held(FIRST, SECOND, THIRD),
            resets(200, None, None), *held(),
            resets(404, missing, {}, "none"),
            ("DELETE", f"{V1}/{made['id']}", None, 200, lambda b: b is None),
            ("DELETE", f"{V1}/{made['id']}", None, 404, missing),
            ("DELETE", f"{V1}/tag/z", None, 200, lambda b: b is None),
            ("DELETE", f"{V1}/tag/z", None, 404, missing),
            ("GET", f"{V2}/{zero['id']}", None, 404, MISSING),
        ],
    )  # fmt: skip


async def test_headers_of_refusals_of_tags(rooms: Rooms) -> None:
    await rooms.post(f"{V1}/", {"tag": "empty", "concurrency_limit": 0}, 201)
    await rooms.post(f"{V1}/", {"tag": "one", "concurrency_limit": 1}, 201)
    await rooms.post(f"{V1}/", {"tag": "free", "concurrency_limit": 1}, 201)
    await rooms.post(f"{V1}/increment", {"names": ["one"], "task_run_id": FIRST})
    never = await rooms.http.post(f"/api{V1}/increment", json={"names": ["empty"], "task_run_id": SECOND})
    assert "retry-after" not in never.headers
    full = await rooms.http.post(f"/api{V1}/increment", json={"names": ["free", "one"], "task_run_id": SECOND})
    assert full.headers["retry-after"] == "10.0"
    assert full.json() == detail("Concurrency limit for the one tag has been reached")  # the one that is full
    assert (await rooms.get(f"{V2}/tag:free"))["active_slots"] == 0
