"""One object of each kind, the calls that accept them, and a ledger that notices every row that changes."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx

from sempre.server.runtime import Runtime
from tests.integration.api.operations import Document, JsonObject, Operation
from tests.support.database import Database
from tests.support.rooms import Rooms, open_rooms

UNKNOWN = "00000000-0000-4000-8000-00000000000a"
STATE = {
    "type": "SCHEDULED", "name": "Later", "message": "m", "data": {"deep": [1, "x"]},
    "state_details": {
        "scheduled_time": "2030-01-01T00:00:00Z", "cache_key": "k", "cache_expiration": "2030-01-01T00:00:00Z",
        "pause_timeout": "2030-01-01T00:00:00Z", "pause_key": "p", "run_input_keyset": {"a": "b"},
        "transition_id": UNKNOWN, "traceparent": "t", "retriable": True,
    },
}  # fmt: skip
POLICY = {"retries": 2, "retry_delay": 1, "pause_keys": ["a"], "resuming": False, "retry_type": "reschedule"}
RUN = {
    "state": STATE, "name": "n", "parameters": {"p": {"q": [1, "x", 1.5, None]}}, "context": {"c": "x"},
    "empirical_policy": POLICY, "tags": ["t"], "labels": {"l": "x", "n": 1}, "idempotency_key": "$unique",
}  # fmt: skip
SCHEDULES: list[JsonObject] = [
    {"schedule": {"cron": "0 0 * * *", "timezone": "UTC"}, "active": True, "slug": "c", "parameters": {"p": "x"}},
    {"schedule": {"interval": 3600.0, "anchor_date": "2026-01-01T00:00:00Z", "timezone": "Europe/Berlin"}, "slug": "i"},
    {"schedule": {"rrule": "FREQ=DAILY", "timezone": "UTC"}, "slug": "r", "max_scheduled_runs": 3},
]
SCHEMA = {"type": "object", "properties": {"p": {"type": "object"}, "n": {"type": "integer"}}, "required": ["p"]}
TEMPLATE = {
    "job_configuration": {"command": "{{ command }}", "env": {"A": "x"}},
    "variables": {"type": "object", "properties": {"command": {"type": "string", "default": "run"}}, "required": []},
}
AUTOMATION = {
    "name": "a", "description": "d", "enabled": True, "tags": ["t"],
    "trigger": {
        "type": "compound", "require": 1, "within": 60.0, "triggers": [
            {"type": "event", "posture": "Reactive", "expect": ["x"], "after": ["y"], "for_each": ["z"],
             "match": {"k": "v"}, "match_related": {"k": ["v"]}, "threshold": 2, "within": 60.0},
        ],
    },
    "actions": [{"type": "do-nothing"},
                {"type": "change-flow-run-state", "state": "FAILED", "name": "x", "message": "m"}],
}  # fmt: skip
EVENT = {
    "id": "$uuid", "occurred": "2026-11-01T00:00:00Z", "event": "e.x", "follows": UNKNOWN, "payload": {"a": {"b": "x"}},
    "resource": {"prefect.resource.id": "r.1", "prefect.resource.name": "n"},
    "related": [{"prefect.resource.id": "r.2", "prefect.resource.role": "flow"}],
}  # fmt: skip
EVENT_FILTER = {
    "occurred": {"since": "2026-11-01T00:00:00Z", "until": "2026-11-02T00:00:00Z"},
    "event": {"prefix": ["e"], "exclude_prefix": ["x"], "name": ["e.x"], "exclude_name": ["x"]},
    "resource": {"id": ["r.1"], "id_prefix": ["r"], "labels": {"a": ["b", "!c*"]}, "distinct": True},
    "related": [{"id": ["r.2"], "role": ["flow"], "resources_in_roles": [["r.2", "flow"]], "labels": {"a": "b"}}],
    "any_resource": {"id": ["r.1"], "id_prefix": ["r"], "labels": {"a": "b"}},
    "id": {"id": [UNKNOWN]}, "text": {"query": "x -y"}, "order": "ASC",
}  # fmt: skip
DEPLOYMENT = {
    "tags": ["t"], "description": "d", "paused": False, "schedules": SCHEDULES, "parameters": {"p": {"q": "x"}},
    "parameter_openapi_schema": SCHEMA, "enforce_parameter_schema": True, "work_pool_name": "$pool",
    "work_queue_name": "default", "path": "p", "entrypoint": "e", "version": "1", "job_variables": {"command": "x"},
    "pull_steps": [{"step": {"a": "x"}}], "concurrency_limit": 3,
    "concurrency_options": {"collision_strategy": "ENQUEUE", "grace_period_seconds": 60},
    "version_info": {"type": "t", "version": "v", "branch": "b"},
}  # fmt: skip
QUEUE = {
    "name": "$unique", "description": "d", "is_paused": False, "concurrency_limit": 2, "priority": 2,
    "filter": {"tags": ["t"], "deployment_ids": [UNKNOWN]},
}  # fmt: skip
WINDOW = {"history_start": "2026-01-01T00:00:00Z", "history_end": "2026-01-02T00:00:00Z",
          "history_interval_seconds": 3600.0}  # fmt: skip
NOTHING = {"id": {"any_": [UNKNOWN]}, "name": {"any_": ["nothing"]}}

# What is not made from the document: bodies whose values must fit what is there. "$x" is a seed, a fresh name or id.
BODIES: dict[str, Any] = {
    "POST /flow_runs/{id}/set_state": {"state": STATE, "force": True},
    "POST /flow_runs/": {**RUN, "flow_id": "$flow", "flow_version": "1", "job_variables": {"command": "x"},
                         "work_pool_name": "$pool", "work_queue_name": "default", "deployment_id": "$deployment"},
    "PATCH /flow_runs/{id}": {"name": "n", "flow_version": "1", "parameters": {"p": "x"}, "tags": ["t"],
                              "empirical_policy": POLICY, "infrastructure_pid": "1"},
    "PATCH /flow_runs/{id}/labels": {"a": "x", "n": 1},
    "POST /task_runs/{id}/set_state": {"state": STATE, "force": True},
    "POST /task_runs/": {"id": "$uuid", "state": STATE, "name": "n", "flow_run_id": "$flow_run", "task_key": "k",
                         "dynamic_key": "$unique", "cache_key": "c", "cache_expiration": "2030-01-01T00:00:00Z",
                         "task_version": "1", "tags": ["t"], "labels": {"l": "x"},
                         "empirical_policy": {"retries": 1, "retry_delay": 1, "retry_jitter_factor": 0.5},
                         "task_inputs": {"a": [{"input_type": "constant", "type": "int"}]}},
    "PATCH /task_runs/{id}": {"name": "n"},
    "POST /flow_runs/{id}/input": {"key": "$unique", "value": "v", "sender": "s"},
    "POST /flow_runs/{id}/input/filter": {"prefix": "p", "limit": 1, "exclude_keys": ["a"]},
    "POST /flow_runs/{id}/resume": {"run_input": {"a": "x"}},
    "POST /flow_runs/history": {**WINDOW, "flow_runs": {"name": {"like_": "x"}}},
    "POST /task_runs/history": {**WINDOW, "task_runs": {"name": {"like_": "x"}}},
    "POST /flow_runs/bulk_set_state": {"state": STATE, "flow_runs": NOTHING, "force": False, "limit": 5},
    "POST /flow_runs/bulk_delete": {"flow_runs": NOTHING, "limit": 5},
    "POST /flows/bulk_delete": {"flows": NOTHING, "limit": 5},
    "POST /deployments/bulk_delete": {"deployments": NOTHING, "limit": 5},
    "POST /deployments/": {**DEPLOYMENT, "name": "$unique", "flow_id": "$flow", "labels": {"l": "x"}},
    "PATCH /deployments/{id}": {**DEPLOYMENT, "schedules": SCHEDULES},
    "POST /deployments/get_scheduled_flow_runs": {"deployment_ids": ["$deployment"], "limit": 5,
                                                  "scheduled_before": "2030-01-01T00:00:00Z"},
    "POST /deployments/{id}/schedule": {"start_time": "2026-01-01T00:00:00Z", "end_time": "2026-01-03T00:00:00Z",
                                        "min_time": 60.0, "min_runs": 1, "max_runs": 2},
    "POST /deployments/{id}/create_flow_run": {**RUN, "work_queue_name": "default", "job_variables": {"command": "x"}},
    "POST /deployments/{id}/create_flow_run/bulk": [{**RUN, "work_queue_name": "default"}],
    "POST /deployments/{id}/schedules": [{**SCHEDULES[0], "slug": "$unique"}, {**SCHEDULES[2], "slug": "$unique"}],
    "PATCH /deployments/{id}/schedules/{schedule_id}": {**SCHEDULES[1], "slug": "$unique"},
    "POST /work_pools/{name}/get_scheduled_flow_runs": {"work_queue_names": ["default"], "limit": 5,
                                                        "scheduled_before": "2030-01-01T00:00:00Z",
                                                        "scheduled_after": "2026-01-01T00:00:00Z"},
    "POST /work_pools/": {"name": "$unique", "description": "d", "type": "process", "base_job_template": TEMPLATE,
                          "is_paused": False, "concurrency_limit": 3,
                          "storage_configuration": {"bundle_upload_step": {"a": "x"}}},
    "PATCH /work_pools/{name}": {"description": "d", "is_paused": False, "base_job_template": TEMPLATE,
                                 "concurrency_limit": 3, "storage_configuration": {"bundle_upload_step": {"a": "x"}}},
    "POST /work_pools/{work_pool_name}/queues": QUEUE,
    "PATCH /work_pools/{work_pool_name}/queues/{name}": {**QUEUE, "name": "$queue_name",
                                                         "last_polled": "2026-01-01T00:00:00Z"},
    "PATCH /work_queues/{id}": {**QUEUE, "name": "$queue_name", "last_polled": "2026-01-01T00:00:00Z"},
    "POST /work_queues/": QUEUE,
    "POST /work_pools/{work_pool_name}/workers/heartbeat": {"name": "w", "heartbeat_interval_seconds": 30},
    "POST /flows/": {"name": "$unique", "tags": ["t"], "labels": {"l": "x"}},
    "POST /logs/": [{"name": "n", "level": 20, "message": "m", "timestamp": "2026-11-01T00:00:00Z",
                     "flow_run_id": "$flow_run", "task_run_id": "$task_run"}],
    "POST /events": [EVENT],
    "POST /events/filter": {"filter": EVENT_FILTER, "limit": 5},
    "POST /events/count-by/{countable}": {"filter": EVENT_FILTER, "time_unit": "hour", "time_interval": 1.0},
    "POST /v2/concurrency_limits/": {"name": "$unique", "limit": 3, "active": True, "active_slots": 0,
                                     "denied_slots": 0, "slot_decay_per_second": 1.0},
    "PATCH /v2/concurrency_limits/{id_or_name}": {"active": True, "limit": 30, "active_slots": 0, "denied_slots": 0,
                                                  "slot_decay_per_second": 1.0},
    "POST /v2/concurrency_limits/increment": {"slots": 1, "names": ["unlimited"], "mode": "concurrency"},
    "POST /v2/concurrency_limits/increment-with-lease": {
        "slots": 1, "names": ["unlimited"], "mode": "concurrency", "lease_duration": 60.0,
        "holder": {"type": "flow_run", "id": "$flow_run"}},
    "POST /v2/concurrency_limits/decrement": {"slots": 1, "names": ["unlimited"], "occupancy_seconds": 1.0},
    "POST /v2/concurrency_limits/leases/{lease_id}/renew": {"lease_duration": 60.0},
    "POST /concurrency_limits/": {"tag": "$unique", "concurrency_limit": 3},
    "POST /concurrency_limits/increment": {"names": ["unlimited"], "task_run_id": "$task_run"},
    "POST /concurrency_limits/decrement": {"names": ["unlimited"], "task_run_id": "$task_run"},
    "POST /artifacts/": {"key": "key", "type": "table", "description": "d", "data": {"a": ["x", 1]},
                         "metadata_": {"m": "x"}, "flow_run_id": "$flow_run", "task_run_id": "$task_run"},
    "PATCH /artifacts/{id}": {"description": "d", "data": {"a": ["x", 1]}, "metadata_": {"m": "x"}},
    "POST /variables/": {"name": "$slug", "value": {"a": ["x", 1]}, "tags": ["t"]},
    "PATCH /variables/name/{name}": {"value": {"a": ["x", 1]}, "tags": ["t"]},
    "PATCH /variables/{id}": {"value": {"a": ["x", 1]}, "tags": ["t"]},
    "POST /block_documents/": {"name": "$unique", "data": {"a": {"b": "x"}}, "block_schema_id": "$block_schema",
                               "block_type_id": "$block_type", "is_anonymous": False},
    "PATCH /block_documents/{id}": {"data": {"a": {"b": "x"}}, "merge_existing_data": True},
    "POST /block_types/": {"name": "$unique", "slug": "$unique", "logo_url": "http://x/l.png", "description": "d",
                           "documentation_url": "http://x/d", "code_example": "c"},
    "PATCH /block_types/{id}": {"logo_url": "http://x/l.png", "documentation_url": "http://x/d", "description": "d",
                                "code_example": "c"},
    "POST /block_schemas/": {"fields": {"title": "$unique", "type": "object", "properties": {"a": {"title": "A"}}},
                             "block_type_id": "$block_type", "capabilities": ["c"], "version": "1"},
    "POST /automations/": AUTOMATION,
    "PUT /automations/{id}": AUTOMATION,
    "PUT /saved_searches/": {"name": "s", "filters": [
        {"object": "o", "property": "p", "type": "t", "operation": "o", "value": "v"}]},
    "POST /templates/validate": "{{ x }}",
    "POST /automations/templates/validate": "{{ x }}",
    "POST /ui/task_runs/dashboard/counts": {"task_runs": {"start_time": {"after_": "2026-11-01T00:00:00Z"}},
                                            "flows": {"name": {"any_": ["x"]}}},
    "POST /ui/schemas/validate": {"schema": SCHEMA, "values": {"p": {"q": "x"}, "n": 1}},
    "PUT /admin/storage": {"default_result_storage_block_id": "$storage_block"},
}  # fmt: skip
# Named in the path, by operations whose path parameter says too little.
_BY_ROOM = {
    "flows": "flow", "flow_runs": "flow_run", "task_runs": "task_run", "deployments": "deployment",
    "work_queues": "queue", "artifacts": "artifact", "variables": "variable", "block_types": "block_type",
    "block_documents": "block_document", "block_schemas": "block_schema", "automations": "automation",
    "saved_searches": "saved_search", "concurrency_limits": "tag_limit", "flow_run_states": "flow_run_state",
    "task_run_states": "task_run_state", "ui": "task_run",
}  # fmt: skip
_BY_NAME = {
    "schedule_id": "schedule", "work_pool_name": "pool", "flow_name": "flow_name", "deployment_name": "deployment_name",
    "tag": "tag", "lease_id": "lease", "id_or_name": "limit_name", "slug": "block_slug", "key": "key",
    "block_document_name": "block_document_name", "checksum": "checksum", "resource_id": "resource", "view": "view",
    "countable": "countable",
}  # fmt: skip


class World:
    """The app with one object of each kind."""

    def __init__(self, rooms: Rooms) -> None:
        self.rooms = rooms
        self.document = Document(rooms.app)
        self.seeds: dict[str, str] = {}

    async def seed(self) -> None:
        """Make the objects (again)."""
        post, n = self.rooms.post, uuid4().hex[:8]
        seeds = self.seeds
        seeds.update(flow_name=f"f-{n}", deployment_name="d", pool=f"p-{n}", queue_name=f"q-{n}", tag=f"t-{n}")
        seeds.update(limit_name=f"l-{n}", key=f"k-{n}", variable_name=f"v-{n}", block_slug=f"b-{n}")
        seeds.update(block_document_name=f"bd-{n}", resource="r.1", view="aggregate-worker-metadata", countable="time")
        seeds["flow"] = await self._made("/flows/", {"name": seeds["flow_name"]})
        pool = {"name": seeds["pool"], "type": "process", "base_job_template": TEMPLATE}
        await post("/work_pools/", pool, 201)
        seeds["queue"] = await self._made(f"/work_pools/{seeds['pool']}/queues", {"name": seeds["queue_name"]})
        await post(f"/work_pools/{seeds['pool']}/workers/heartbeat", {"name": "w"}, 204)
        deployment = {"name": "d", "flow_id": seeds["flow"], "work_pool_name": seeds["pool"], "schedules": SCHEDULES}
        made = await post("/deployments/", deployment, 201)
        seeds["deployment"], seeds["schedule"] = made["id"], made["schedules"][0]["id"]
        await self._seed_runs()
        await self._seed_blocks()
        seeds["tag_limit"] = await self._made("/concurrency_limits/", {"tag": seeds["tag"], "concurrency_limit": 2})
        limit = {"name": seeds["limit_name"], "limit": 2}
        await post("/v2/concurrency_limits/", limit, 201)
        lease = {"names": [seeds["limit_name"]], "slots": 1}
        seeds["lease"] = (await post("/v2/concurrency_limits/increment-with-lease", lease))["lease_id"]
        seeds["artifact"] = await self._made("/artifacts/", {"key": seeds["key"], "data": "x"})
        seeds["variable"] = await self._made("/variables/", {"name": seeds["variable_name"], "value": 1})
        seeds["automation"] = await self._made("/automations/", AUTOMATION)
        search = await self.rooms.call("PUT", "/saved_searches/", {"name": f"s-{n}"}, status=201)
        seeds["saved_search"] = search["id"]

    async def _seed_runs(self) -> None:
        seeds = self.seeds
        run = await self.rooms.post("/flow_runs/", {"flow_id": seeds["flow"]}, 201)
        seeds["flow_run"], seeds["flow_run_state"] = run["id"], run["state_id"]
        value = {"key": seeds["key"], "value": "v"}
        await self.rooms.post(f"/flow_runs/{run['id']}/input", value, 201)
        task = {"task_key": "t", "dynamic_key": "0", "flow_run_id": run["id"]}
        made = await self.rooms.post("/task_runs/", task, 201)
        seeds["task_run"], seeds["task_run_state"] = made["id"], made["state_id"]

    async def _seed_blocks(self) -> None:
        seeds, slug = self.seeds, self.seeds["block_slug"]
        seeds["block_type"] = await self._made("/block_types/", {"name": slug, "slug": slug})
        schema = {"fields": {"title": slug, "type": "object"}, "capabilities": ["write-path"]}
        made = await self.rooms.post("/block_schemas/", {**schema, "block_type_id": seeds["block_type"]}, 201)
        seeds["block_schema"], seeds["checksum"] = made["id"], made["checksum"]
        ids = {"block_type_id": seeds["block_type"], "block_schema_id": made["id"]}
        name = seeds["block_document_name"]
        seeds["block_document"] = await self._made("/block_documents/", {"name": name, "data": {}, **ids})
        seeds["storage_block"] = seeds["block_document"]

    async def _made(self, path: str, body: JsonObject) -> str:
        return str((await self.rooms.post(path, body, 201))["id"])

    def path(self, operation: Operation, **instead: str) -> str:
        """Its path, with what there is or what is said ``instead``."""
        values = {name: instead.get(name, self.value(operation, name)) for name in operation.path_names}
        path = operation.path.format(**values)
        query = {"flow_run_id": "flow_run", "task_run_id": "task_run"}
        asked = [f"{name}={self.seeds[query[name]]}" for name in operation.query if name in query]
        return path + ("?" + "&".join(asked) if asked else "")

    def value(self, operation: Operation, name: str) -> str:
        """What there is for one parameter of its path."""
        room = operation.path.split("/")[1]
        if name == "id":
            return self.seeds[_BY_ROOM[room]]
        if name == "name":
            named = {"flows": "flow_name", "variables": "variable_name", "work_queues": "queue_name"}
            return self.seeds["queue_name" if "/queues/" in operation.path else named.get(room, "pool")]
        return self.seeds[_BY_NAME[name]]

    def body(self, operation: Operation) -> Any:
        """A body that the operation accepts; None where it takes none."""
        if operation.schema is None:
            return None
        if operation.key in BODIES:
            return self._resolved(copy.deepcopy(BODIES[operation.key]))
        return self.document.sample(operation.schema)

    def _resolved(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._resolved(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._resolved(inner) for inner in value]
        if not isinstance(value, str) or not value.startswith("$"):
            return value
        fresh = {"$unique": f"u-{uuid4().hex[:12]}", "$slug": f"u_{uuid4().hex[:12]}", "$uuid": str(uuid4())}
        return fresh.get(value) or self.seeds[value[1:]]


class Ledger:
    """Counts rows written, but not those of transactions that were rolled back."""

    def __init__(self, rooms: Rooms) -> None:
        self._db = rooms.scope.db

    async def open(self) -> None:
        await self._db.execute("CREATE TABLE ledger_entry (relation text)")
        await self._db.execute("""
            CREATE FUNCTION enter_ledger() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN INSERT INTO ledger_entry VALUES (TG_TABLE_NAME); RETURN NULL; END $$
        """)
        for row in await self._db.fetch("""
            SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
            WHERE relkind IN ('r', 'p') AND NOT relispartition AND nspname = current_schema()
              AND relname NOT IN ('ledger_entry', 'alembic_version', 'service', 'task_worker')
        """):
            await self._db.execute(f"""
                CREATE TRIGGER ledger AFTER INSERT OR UPDATE OR DELETE ON "{row["relname"]}"
                FOR EACH ROW EXECUTE FUNCTION enter_ledger()
            """)

    async def entries(self) -> list[str]:
        """The tables written since the last call, once per row."""
        rows = await self._db.fetch("DELETE FROM ledger_entry RETURNING relation")
        return [row["relation"] for row in rows]


def client(rooms: Rooms, **options: Any) -> httpx.AsyncClient:
    """A client that is answered 500 where the server fails, as over a network."""
    transport = httpx.ASGITransport(app=rooms.app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://sempre.test", **options)


@asynccontextmanager
async def open_world(database: Database) -> AsyncIterator[World]:
    async with open_rooms(database) as rooms, client(rooms) as rooms.http:
        runtime = rooms.app.state.runtime = Runtime(rooms.scope)
        runtime.events.start()  # not the note of polls, which would write while other requests are refused
        world = World(rooms)
        await world.seed()
        await rooms.post("/v2/concurrency_limits/", {"name": "unlimited", "limit": 1_000_000}, 201)
        yield world
        await runtime.events.stop()
