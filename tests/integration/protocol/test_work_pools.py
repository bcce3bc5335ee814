"""Work pools, their queues and workers, and the older calls about queues alone: every status and text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sempre.server.collections.routes import worker_types
from tests.integration.protocol.facts import INTEGRITY, NOBODY, Fact, Invalid, detail, hold, message
from tests.support.rooms import Rooms

RESERVED = "Work pools starting with 'Prefect' are reserved for internal use"
LIMITED = [
    ({"limit": 201}, "Invalid limit: must be less than or equal to 200."),
    ({"limit": -1}, "Invalid limit: must be greater than or equal to 0."),
]


def template(**properties: Any) -> dict[str, Any]:
    declared = {name: f"{{{{ {name} }}}}" for name in properties}
    return {"job_configuration": declared, "variables": {"properties": properties}}


async def test_pools(rooms: Rooms) -> None:
    def makes(status: int, answer: Any, **body: Any) -> Fact:
        return Fact("POST", "/work_pools/", {"name": "x", "type": "t", **body}, status, answer)

    def changes(status: int, answer: Any, pool: str = "p", **body: Any) -> Fact:
        return Fact("PATCH", f"/work_pools/{pool}", body, status, answer)

    def reads(name: str, **expected: Any) -> Fact:
        return Fact("GET", f"/work_pools/{name}", None, 200, lambda b: {k: b[k] for k in expected} == expected)

    blank = Invalid("value_error", "name", "Value error, name cannot be an empty string")
    both = Invalid("value_error", "base_job_template", "must contain both a `job_configuration` key and a `variables`")
    block = {"type": "object", "default": {"$ref": {"block_document_id": NOBODY}}}
    only = f"{RESERVED} and can only be updated to set concurrency limits or pause."
    nothing = detail('Work pool "none" not found.')
    await hold(
        rooms,
        [
            makes(201, lambda b: (b["status"], b["active_slots"]) == ("NOT_READY", None), name="p"),
            makes(201, lambda b: (b["status"], b["active_slots"]) == ("PAUSED", 0), name="q", is_paused=True,
                  concurrency_limit=0),
            makes(201, lambda b: (b["status"], b["type"]) == (None, "prefect-agent"), name="a", type="prefect-agent"),
            makes(409, detail("A work pool with this name already exists."), name="p"),
            makes(403, detail(f"{RESERVED}."), name="PreFect-x"),
            *(makes(422, blank, name=name) for name in ("", " ", "'\"")),
            makes(422, Invalid("string_pattern_mismatch", "name"), name="a/b"),
            makes(422, Invalid("greater_than_equal", "concurrency_limit"), concurrency_limit=-1),
            makes(422, Invalid("extra_forbidden", "zz"), zz=1),
            makes(422, both, base_job_template={"job_configuration": {"a": "{{ x }}"}}),
            makes(422, both, base_job_template={"variables": {"properties": {}}}),
            makes(422, Invalid("", "", "undeclared variable(s): x."),
                  base_job_template={"job_configuration": {"a": "{{ x }}"}, "variables": {"properties": {"y": {}}}}),
            makes(422, lambda b: b["detail"].startswith("Validation failed for work pool's job variable defaults: "),
                  base_job_template=template(n={"type": "integer", "default": "q"})),
            makes(422, lambda b: b["detail"].startswith("Invalid schema: "),
             base_job_template=template(n={"type": "z"})),
            makes(404, detail("Block not found."), base_job_template=template(n=block)),
            ("GET", "/work_pools/none", None, 404, nothing),
            changes(404, nothing, "none"),
            ("DELETE", "/work_pools/none", None, 404, nothing),
            changes(403, detail(only), "prefect-x", description="d"),
            changes(404, detail('Work pool "prefect-x" not found.'), "prefect-x", is_paused=True, concurrency_limit=1),
            ("DELETE", "/work_pools/Prefect-x", None, 403, detail(f"{RESERVED} and can not be deleted.")),
            changes(422, Invalid("", "base_job_template"), base_job_template=None),
            changes(422, both, base_job_template={"variables": {"properties": {}}}),
            changes(204, None, base_job_template=template(n={"type": "integer", "default": "q"})),  # not checked here
            changes(409, INTEGRITY, is_paused=None),
            changes(409, INTEGRITY, storage_configuration=None),
            changes(422, Invalid("extra_forbidden", "name"), name="z"),
            changes(204, None, is_paused=True), reads("p", status="PAUSED", is_paused=True),
            changes(204, None, is_paused=False), reads("p", status="NOT_READY"),
            ("POST", "/work_pools/p/workers/heartbeat", {"name": "w"}, 204),
            reads("p", status="READY"),
            changes(204, None, is_paused=True),
            ("POST", "/work_pools/p/workers/heartbeat", {"name": "w"}, 204),
            reads("p", status="PAUSED"),
            changes(204, None, is_paused=False), reads("p", status="READY"),
            ("POST", "/work_pools/filter", {"limit": 2}, 200, lambda b: [p["name"] for p in b] == ["a", "p"]),
            ("POST", "/work_pools/filter", {"work_pools": {"operator": "or_", "name": {"any_": ["p"]},
                                                           "type": {"any_": ["prefect-agent"]}}}, 200,
             lambda b: [p["name"] for p in b] == ["a", "p"]),
            ("POST", "/work_pools/count", {"work_pools": {"type": {"any_": ["t"]}}}, 200, 2),
            ("POST", "/work_pools/count", None, 200, 3),
            *(("POST", "/work_pools/filter", body, 422, detail(text)) for body, text in LIMITED),
            ("POST", "/work_pools/none/concurrency_status", {}, 404, detail("Work pool 'none' not found.")),
            ("POST", "/work_pools/p/concurrency_status", {"limit": 1}, 200,
             lambda b: (b["count"], b["pages"], b["page"], b["limit"], len(b["queues"])) == (1, 1, 1, 1, 1)),
            ("POST", "/work_pools/p/concurrency_status", {"limit": 0}, 200, lambda b: (b["pages"],
             b["queues"]) == (0, [])),
            ("POST", "/work_pools/p/concurrency_status", {"page": 0}, 422, Invalid("greater_than_equal", "page")),
            ("POST", "/work_pools/p/concurrency_status", {"flow_run_limit": 201}, 422,
             Invalid("less_than_equal", "flow_run_limit")),
            ("POST", "/work_pools/none/get_scheduled_flow_runs", {}, 404, nothing),
            ("POST", "/work_pools/p/get_scheduled_flow_runs", {"work_queue_names": ["z"]}, 404,
             detail("Work pool queue 'p/z' not found.")),
            ("POST", "/work_pools/p/get_scheduled_flow_runs", {"limit": 201}, 422, detail(LIMITED[0][1])),
            ("DELETE", "/work_pools/q", None, 204),
        ],
    )  # fmt: skip


async def test_queues_of_pools(rooms: Rooms) -> None:
    await rooms.post("/work_pools/", {"name": "queues", "type": "t"}, 201)
    path = "/work_pools/queues/queues"
    nothing, no_queue = detail('Work pool "none" not found.'), detail("Work pool queue 'queues/none' not found.")
    lately, earlier = datetime.now(UTC).isoformat(), (datetime.now(UTC) - timedelta(seconds=90)).isoformat()

    def status(expected: str) -> Fact:
        return Fact("GET", f"{path}/q9", None, 200, lambda b: b["status"] == expected)

    def listed(*expected: str, **body: Any) -> Fact:
        return Fact(
            "POST", f"{path}/filter", body, 200, lambda b: [f"{q['name']} {q['priority']}" for q in b] == [*expected]
        )

    await hold(
        rooms,
        [
            ("POST", path, {"name": "hi", "priority": 1}, 201, lambda b: b["work_pool_name"] == "queues"),
            ("POST", path, {"name": "q1"}, 201, lambda b: b["priority"] == 3),
            ("POST", path, {"name": "q4", "priority": None}, 201, lambda b: b["priority"] == 4),
            ("POST", path, {"name": "q9", "priority": 9, "is_paused": True}, 201,
             lambda b: (b["status"], b["is_paused"]) == ("NOT_READY", True)),
            listed("hi 1", "default 2", "q1 3", "q4 4", "q9 9"),
            ("PATCH", f"{path}/q9", {"priority": 2}, 204),
            listed("hi 1", "q9 2", "default 3", "q1 4", "q4 5"),
            listed("q9 2", "q1 4", work_queues={"name": {"startswith_": ["Q1", "q9"]}}),
            listed("hi 1", "q9 2", "default 3", "q1 4", "q4 5", work_queues={"name": {"startswith_": []}}),
            listed(work_queues={"name": {"any_": []}}),
            listed("q9 2", limit=1, offset=1),
            ("POST", path, {"name": "q9"}, 409,
             detail("A work queue with this name already exists in work pool {work_pool_name!r}.")),
            ("POST", path, {"name": "a/b"}, 422, Invalid("string_pattern_mismatch", "name")),
            ("POST", path, {"name": "x", "priority": 0}, 422, Invalid("greater_than", "priority")),
            ("POST", path, {"name": "x", "concurrency_limit": -1}, 422, Invalid("greater_than_equal")),
            ("POST", "/work_pools/none/queues", {"name": "x"}, 404, nothing),
            ("POST", "/work_pools/none/queues/filter", {}, 404, nothing),
            *(("POST", f"{path}/filter", body, 422, detail(text)) for body, text in LIMITED),
            ("GET", f"{path}/none", None, 404, no_queue),
            ("GET", "/work_pools/none/queues/q", None, 404, detail("Work pool queue 'none/q' not found.")),
            ("PATCH", f"{path}/none", {}, 404, no_queue),
            ("PATCH", "/work_pools/none/queues/q", {}, 404, nothing),
            ("DELETE", f"{path}/none", None, 404, no_queue),
            ("DELETE", "/work_pools/none/queues/q", None, 404, nothing),
            ("PATCH", f"{path}/q9", {"name": "hi"}, 409, INTEGRITY),
            *(("PATCH", f"{path}/q9", {field: None}, 409, INTEGRITY) for field in ("name", "priority", "description")),
            ("PATCH", f"{path}/q9", {"name": "a/b"}, 422, Invalid("value_error", "name")),
            ("PATCH", f"{path}/q9", {"zz": 1}, 422, Invalid("extra_forbidden")),
            ("PATCH", f"{path}/q9", {"is_paused": True}, 204), status("PAUSED"),
            ("PATCH", f"{path}/q9", {"is_paused": False}, 204), status("NOT_READY"),
            ("PATCH", f"{path}/q9", {"is_paused": True}, 204),
            ("PATCH", f"{path}/q9", {"is_paused": False, "last_polled": lately}, 204), status("READY"),
            ("PATCH", f"{path}/q9", {"is_paused": True}, 204),
            ("PATCH", f"{path}/q9", {"is_paused": False, "last_polled": earlier}, 204), status("NOT_READY"),
            ("GET", f"{path}/q9", None, 200, lambda b: b["active_slots"] is None),
            ("PATCH", f"{path}/q9", {"concurrency_limit": 0}, 204),
            ("GET", f"{path}/q9", None, 200, lambda b: b["active_slots"] == 0),
            ("DELETE", f"{path}/default", None, 409),
            ("DELETE", f"{path}/q9", None, 204),
        ],
    )  # fmt: skip


async def test_workers(rooms: Rooms) -> None:
    await rooms.post("/work_pools/", {"name": "workers", "type": "t"}, 201)
    path, nothing = "/work_pools/workers/workers", detail('Work pool "none" not found.')
    much = {"name": "w2", "heartbeat_interval_seconds": 5, "metadata": {"a": 1}, "return_id": True, "zz": 2}

    def listed(body: Any, *expected: str) -> Fact:
        return Fact(
            "POST", f"{path}/filter", body, 200, lambda b: [f"{w['name']} {w['status']}" for w in b] == [*expected]
        )

    await hold(
        rooms,
        [
            ("POST", f"{path}/heartbeat", {"name": "w1"}, 204, None),
            ("POST", f"{path}/heartbeat", much, 204, None),
            ("POST", f"{path}/heartbeat", {"name": "w2"}, 204, None),  # the interval stays
            ("POST", f"{path}/heartbeat", {}, 422, Invalid("missing", "name")),
            ("POST", "/work_pools/none/workers/heartbeat", {"name": "w"}, 404, nothing),
            listed(None, "w2 ONLINE", "w1 ONLINE"),
            listed({"workers": {"status": {"any_": ["OFFLINE"]}}}),
            listed({"workers": {"status": {"not_any_": ["OFFLINE"]}}, "limit": 1}, "w2 ONLINE"),
            listed({"workers": {"last_heartbeat_time": {"before_": "2020-01-01"}}}),
            ("POST", f"{path}/filter", {"workers": {"status": {"any_": ["AWAY"]}}}, 422, Invalid("enum")),
            *(("POST", f"{path}/filter", body, 422, detail(text)) for body, text in LIMITED),
            ("POST", f"{path}/filter", {"limit": 1}, 200, lambda b: b[0]["heartbeat_interval_seconds"] == 5),
            ("POST", "/work_pools/none/workers/filter", {}, 404, nothing),
            ("DELETE", f"{path}/w1", None, 204),
            ("DELETE", f"{path}/w1", None, 404, detail("Worker not found.")),
            ("DELETE", "/work_pools/none/workers/w", None, 404, nothing),
        ],
    )  # fmt: skip
    silent = "UPDATE worker SET last_heartbeat_time = now() - interval '16 seconds' WHERE name = 'w2'"
    await rooms.scope.db.execute(silent)
    await hold(rooms, [listed({"workers": {"status": {"any_": ["ONLINE"]}}}, "w2 OFFLINE")])  # asks for what is stored


async def test_queues_alone(rooms: Rooms) -> None:
    await rooms.post("/work_pools/", {"name": "zpool", "type": "t"}, 201)
    elsewhere = await rooms.post("/work_pools/zpool/queues", {"name": "only-here"}, 201)
    await hold(rooms, [("GET", "/work_queues/name/only-here", None, 200, lambda b: b["id"] == elsewhere["id"])])
    default = await rooms.post("/work_queues/", {"name": "default"}, 201)
    made = await rooms.post("/work_queues/", {"name": "mine", "filter": {"tags": ["x"]}}, 201)
    assert (made["work_pool_name"], made["filter"]) == ("default-agent-pool", {"tags": ["x"], "deployment_ids": None})
    path, missing = f"/work_queues/{made['id']}", detail("work queue not found")
    policy = {"maximum_late_runs": 0, "maximum_seconds_since_last_polled": 60}
    unpolled = {"healthy": False, "late_runs_count": 0, "last_polled": None, "health_check_policy": policy}
    await hold(
        rooms,
        [
            ("POST", "/work_queues/", {"name": "default"}, 409, detail("A work queue with this name already exists.")),
            ("GET", "/work_queues/name/only-here", None, 404, missing),
            ("GET", "/work_queues/name/mine", None, 200, lambda b: b["id"] == made["id"]),
            ("GET", f"/work_queues/{elsewhere['id']}", None, 200),
            ("GET", f"/work_queues/{NOBODY}", None, 404, missing),
            ("PATCH", f"/work_queues/{NOBODY}", {}, 404, detail(f"Work Queue {NOBODY} not found")),
            ("DELETE", f"/work_queues/{NOBODY}", None, 404, missing),
            ("DELETE", f"/work_queues/{default['id']}", None, 409, INTEGRITY),
            ("GET", f"/work_queues/{NOBODY}/status", None, 404, message(f"Work queue with id {NOBODY} not found")),
            ("POST", f"/work_queues/{NOBODY}/get_runs", {}, 404, message(f"Work queue with id {NOBODY} not found.")),
            ("POST", f"/work_queues/{NOBODY}/concurrency_status", {}, 404, detail("Work queue not found.")),
            ("GET", f"{path}/status", None, 200, unpolled),
            ("POST", f"{path}/concurrency_status", {"limit": 0}, 200,
             {"active_slots": 0, "concurrency_limit": None, "flow_runs": [], "count": 0, "limit": 0, "pages": 0,
              "page": 1}),
            ("PATCH", path, {"priority": 1}, 204),  # others keep theirs
            ("GET", f"/work_queues/{default['id']}", None, 200, lambda b: b["priority"] == default["priority"]),
            ("POST", "/work_queues/filter", {"work_queues": {"name": {"startswith_": ["MI", "only"]}}}, 200,
             lambda b: [q["name"] for q in b] == ["mine", "only-here"]),
            *(("POST", "/work_queues/filter", body, 422, detail(text)) for body, text in LIMITED),
            *(("POST", f"{path}/get_runs", body, 422, detail(text)) for body, text in LIMITED),
            ("DELETE", path, None, 204),
        ],
    )  # fmt: skip


async def test_every_kind_of_worker_has_a_pool(rooms: Rooms) -> None:
    view = await rooms.get("/collections/views/aggregate-worker-metadata")
    assert {package: sorted(kinds) for package, kinds in view.items()} == {
        "prefect": ["process"],
        "prefect-aws": ["ecs"],
        "prefect-azure": ["azure-container-instance"],
        "prefect-docker": ["docker"],
        "prefect-gcp": ["cloud-run", "cloud-run-v2", "vertex-ai"],
        "prefect-kubernetes": ["kubernetes"],
    }
    for package, kinds in worker_types().items():
        for kind, about in kinds.items():
            assert about["type"] == kind
            assert about["description"]
            assert about["install_command"] == f"pip install {package}"
            job = about["default_base_job_configuration"]
            for name, variable in job["variables"]["properties"].items():
                assert variable["title"], (kind, name)
                assert variable["description"], (kind, name)
            await rooms.post("/work_pools/", {"name": f"of-{kind}", "type": kind, "base_job_template": job}, 201)
    await hold(
        rooms,
        [
            ("GET", "/collections/views/none", None, 404, detail("View none not found in registry")),
            ("GET", "/collections/views/aggregate-flow-metadata", None, 200, {}),
            ("GET", "/collections/views/demo-flows", None, 200, {}),
            (
                "GET",
                "/collections/views/aggregate-block-metadata",
                None,
                200,
                lambda b: sorted(b["prefect-shell"]["block_types"]) == ["shell-operation"],
            ),
        ],
    )
