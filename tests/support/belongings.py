"""What somebody set up on a server, to be found again on another one."""

from __future__ import annotations

from typing import Any

from tests.support.runs import Json, Runs

__all__ = ["EVERYTHING", "automation", "own"]

# How many of each kind.
EVERYTHING = {
    "block types": 1, "block schemas": 1, "blocks": 1, "work pools": 1, "work queues": 1, "flows": 3, "variables": 2,
    "tag limits": 1, "global limits": 1, "deployments": 3, "automations": 3,
}  # fmt: skip

_FIELDS = {
    "type": "object",
    "properties": {"level": {"type": "integer"}, "key": {"type": "string", "format": "password", "writeOnly": True}},
    "secret_fields": ["key"],
}


def own(runs: Runs) -> None:
    """Give a server two of nearly everything that can be set up."""
    kind = runs.post("/block_types/", {"name": "Moved", "slug": "moved"})
    schema = runs.post("/block_schemas/", {"block_type_id": kind["id"], "fields": _FIELDS})
    block = {"block_type_id": kind["id"], "block_schema_id": schema["id"]}
    runs.post("/block_documents/", {**block, "name": "main", "data": {"level": 1, "key": "hidden-value"}})
    template = {"job_configuration": {"command": "{{ c }}"}, "variables": {"properties": {"c": {"type": "string"}}}}
    pool = runs.post("/work_pools/", {"name": "pool", "type": "process", "base_job_template": template})
    runs.post("/work_pools/pool/queues", {"name": "fast", "priority": 1, "concurrency_limit": 3})
    flows = [runs.post("/flows/", {"name": f"flow-{number}", "tags": ["t"]}) for number in range(3)]
    runs.post("/variables/", {"name": "bucket", "value": {"a": None}, "tags": ["x"]})
    runs.post("/variables/", {"name": "nothing", "value": None})
    runs.post("/concurrency_limits/", {"tag": "db", "concurrency_limit": 4})
    runs.post("/v2/concurrency_limits/", {"name": "calls", "limit": 5, "slot_decay_per_second": 0.5})
    interval = {"schedule": {"interval": 3600, "anchor_date": "2026-01-01T00:00:00Z", "timezone": "Europe/Berlin"}}
    body = {
        "work_pool_name": "pool", "work_queue_name": "fast", "parameters": {"n": 1}, "entrypoint": "f.py:f",
        "concurrency_limit": 2, "schedules": [{**interval, "slug": "hourly", "active": True}], "tags": ["d"],
    }  # fmt: skip
    made = [runs.post("/deployments/", {**body, "name": "nightly", "flow_id": flow["id"]}) for flow in flows]
    runs.post("/automations/", automation("first", made[0]["id"], pool["id"]))
    runs.post("/automations/", automation("twin", made[1]["id"], pool["id"]))
    runs.post("/automations/", automation("twin", made[2]["id"], pool["id"]))


def automation(name: str, deployment: str, pool: str) -> Json:
    """One that runs a deployment and pauses a pool upon an event of the deployment."""
    trigger: dict[str, Any] = {
        "type": "event", "posture": "Reactive", "expect": ["a.b"], "threshold": 1, "within": 0,
        "match": {"prefect.resource.id": f"prefect.deployment.{deployment}"},
    }  # fmt: skip
    actions = [
        {"type": "run-deployment", "source": "selected", "deployment_id": deployment},
        {"type": "pause-work-pool", "source": "selected", "work_pool_id": pool},
    ]
    return {"name": name, "trigger": trigger, "actions": actions}
