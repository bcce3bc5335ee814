"""What is there before the load begins: pools, deployments with schedules, limits, automations."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.loads.client import Client, GaveUp, Json, Wrong
from tests.chaos.loads.shape import TAKEN, Shape

POOL = "simulated"
STOCK_POOL = "chaos"  # as stage.POOL
LEASES = "storm-leases"
_CREATED = frozenset({409})
_PERIODS = (9, 13, 17)
_LIMITED_PERIOD = 7

_EACH = {"for_each": ["prefect.resource.id"]}


def leaf(*names: str, **fields: Any) -> Json:
    """A trigger by events; every event by default."""
    return {"type": "event", "posture": "Reactive", "expect": list(names), "threshold": 1, "within": 0, **fields}


STREAM: dict[str, Json] = {
    "every tenth": leaf("load.a", threshold=10),
    "every fifth of each": leaf("load.a", threshold=5, **_EACH),
    "opened": leaf("load.c", after=["load.b"], within=0.5, match={"prefect.resource.id": "thing.[12]"}, **_EACH),
    "in order": {
        "type": "sequence",
        "within": None,
        "triggers": [leaf("load.a", threshold=7), leaf("load.b", threshold=5), leaf("load.c", threshold=3)],
    },
    "two of three": {
        "type": "compound",
        "within": None,
        "require": 2,
        "triggers": [leaf(f"load.{name}", threshold=30) for name in "abc"],
    },
}
"""Automations over the ordered stream, which the oracle replays."""
UNFINISHED = leaf("load.done", posture="Proactive", after=["load.begun"], within=10, **_EACH)
"""One firing for every job that was begun and not done."""
RECALL = leaf("load.recall", **_EACH)
"""Cancels the run that the event is about."""
CALL = leaf("load.call")
"""Calls the webhook once for every event."""


@dataclass
class World:
    """Ids of what was made."""

    flow_id: str = ""
    deployments: dict[str, str] = field(default_factory=dict)  # name -> id
    retries: str = "asked"  # the deployment whose runs are asked for

    def __getitem__(self, name: str) -> str:
        return self.deployments[name]


async def prepare(client: Client, shape: Shape, hook_url: str, stock: Json) -> World:
    """Everything. To be done in calm weather: creations that were answered by nobody are not all repeatable.

    `stock`: what a deployment for stock workers needs more than others.
    """
    world = World((await client.post("/flows/", {"name": "storm"})).json()["id"])
    for pool in (POOL, STOCK_POOL):
        await client.post("/work_pools/", {"name": pool, "type": "process"}, expected=_CREATED)
    await _deployments(client, world, shape)
    if shape.stock_every:
        for number in range(2):
            schedule = _interval(shape.stock_every, number * shape.stock_every // 2)
            await _deploy(client, world, f"stock-{number}", schedule, pool=STOCK_POOL, **stock)
    if shape.takers:
        await client.post("/v2/concurrency_limits/", {"name": LEASES, "limit": TAKEN}, expected=_CREATED)
    if shape.stream:
        await _automations(client, world, hook_url)
    return world


async def quiet(client: Client) -> None:
    """Pause every deployment with a schedule: runs already due are still wanted, those to come are not."""
    for line in client.ledger.entries().of_kind("schedule"):
        client.ledger.write("pausing", deployment=line["deployment"])
        while True:
            try:
                await client.call("PATCH", f"/deployments/{line['deployment']}", {"paused": True})
                break
            except (GaveUp, Wrong):
                await asyncio.sleep(1.0)


async def _deployments(client: Client, world: World, shape: Shape) -> None:
    cron = {"cron": "* * * * *", "timezone": "UTC"}
    for number in range(shape.minutely):
        await _deploy(client, world, f"minutely-{number}", cron, tags=[f"tag-{number % 3}"])
    for number in range(shape.frequent):
        await _deploy(client, world, f"frequent-{number}", _interval(_PERIODS[number % len(_PERIODS)], number))
    for kind, strategy, count in (("queued", "ENQUEUE", shape.queued), ("choosy", "CANCEL_NEW", shape.choosy)):
        for number in range(count):
            options: Json = {"concurrency_limit": 2 + number, "concurrency_options": {"collision_strategy": strategy}}
            await _deploy(client, world, f"{kind}-{number}", _interval(_LIMITED_PERIOD, number), **options)
    for name in ("asked", "fired"):
        await _deploy(client, world, name, None)


def _interval(seconds: int, offset: int) -> Json:
    anchor = int(time.time()) // 3600 * 3600 + offset
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(anchor))
    return {"interval": seconds, "anchor_date": stamp, "timezone": "UTC", "_anchor": anchor}


async def _deploy(
    client: Client, world: World, name: str, schedule: Json | None, *, pool: str = POOL, **more: object
) -> None:
    plain = {key: value for key, value in (schedule or {}).items() if not key.startswith("_")}
    schedules = [{"schedule": plain, "active": True, "slug": "s"}] if schedule else []
    body = {"name": name, "flow_id": world.flow_id, "work_pool_name": pool, "schedules": schedules, **more}
    deployment = (await client.post("/deployments/", body)).json()
    world.deployments[name] = deployment["id"]
    for made in deployment["schedules"]:
        period, anchor = plain.get("interval", 60), (schedule or {}).get("_anchor", 0)
        client.ledger.write(
            "schedule", id=made["id"], deployment=deployment["id"], name=name, period=period, anchor=anchor
        )


async def _automations(client: Client, world: World, hook_url: str) -> None:
    run = {"type": "run-deployment", "source": "selected", "deployment_id": world["fired"]}
    for name, trigger in {**STREAM, "unfinished": UNFINISHED}.items():
        await _automate(client, name, trigger, run)
    await _automate(client, "recall", RECALL, {"type": "change-flow-run-state", "state": "CANCELLED"})
    hook = {"type": "call-webhook", "block_document_id": await _webhook(client, hook_url)}
    payload = '{"event": "{{ event.id }}"}'
    await _automate(client, "call", CALL, {**hook, "payload": payload})
    compound = {"type": "compound", "require": "any", "within": None, "triggers": [leaf("load.call"), leaf("load.x")]}
    await _automate(client, "call of a compound", compound, {**hook, "payload": payload})


async def _automate(client: Client, name: str, trigger: Json, action: Json) -> None:
    made = (await client.post("/automations/", {"name": name, "trigger": trigger, "actions": [action]})).json()
    client.ledger.write("automation", id=made["id"], name=name, trigger=made["trigger"])


async def _webhook(client: Client, url: str) -> str:
    type = (await client.get("/block_types/slug/webhook")).json()
    criteria = {"block_schemas": {"block_type_id": {"any_": [type["id"]]}}}
    schema = (await client.post("/block_schemas/filter", criteria)).json()[0]
    data = {"url": url, "method": "POST"}
    body = {"name": "storm-hook", "data": data, "block_type_id": type["id"], "block_schema_id": schema["id"]}
    return str((await client.post("/block_documents/", body)).json()["id"])
