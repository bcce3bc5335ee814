"""The API behind the engine's seam: the questions of :mod:`sempre.sdk.engine.requests` as calls of the client.

It reads and writes plain JSON, not models: a flow process would pay for hundreds of them with every start.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

from sempre.client import backstage
from sempre.client.connection import Connection
from sempre.client.errors import ApiRefused, ObjectNotFound
from sempre.core.states import StateDetails
from sempre.sdk.engine.requests import Answer, NewFlowRun, NewTrackingRun
from sempre.sdk.results.record import ResultRecord
from sempre.sdk.runs import FlowRun
from sempre.sdk.slot_events import tell_slots
from sempre.sdk.states import State

__all__ = ["ClientOrchestrator", "flow_run_of", "state_of", "to_jsonable"]

_TAG_LEASE = 60.0  # seconds that slots of tags are held without being renewed
_UNLIMITED_FOR = 5.0  # seconds that tags without limits are remembered as such


class ClientOrchestrator:
    """Answers by way of the client. Usable from any loop; one for the process."""

    def __init__(self, connection: Connection | None = None) -> None:
        self.connection = Connection() if connection is None else connection
        self._flows: dict[str, UUID] = {}
        self._unlimited: dict[tuple[str, ...], float] = {}
        self._renewals: dict[UUID, Any] = {}
        self._held: dict[UUID, tuple[list[Any], list[Any]]] = {}  # the limits and what was told of them, by lease

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of an answer. Raises the client's errors."""
        content = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        answer = await self.connection.request(method, path, content)
        return json.loads(answer.content) if answer.content else None

    async def create_flow(self, name: str, tags: Sequence[str]) -> UUID:
        if name not in self._flows:
            made = await self.call("POST", "/flows/", {"name": name, "tags": list(tags)})
            self._flows[name] = UUID(made["id"])
        return self._flows[name]

    async def create_flow_run(self, new: NewFlowRun) -> FlowRun:
        body = {
            "flow_id": str(new.flow_id),
            "idempotency_key": new.key,
            "name": new.name,
            "state": _state_body(new.state),
            "parameters": to_jsonable(new.parameters),
            "flow_version": new.version,
            "tags": list(new.tags),
            "parent_task_run_id": None if new.parent_task_run_id is None else str(new.parent_task_run_id),
            "empirical_policy": {"retries": new.retries, "retry_delay": new.retry_delay},
        }
        return flow_run_of(await self.call("POST", "/flow_runs/", body))

    async def read_flow_run(self, id: UUID) -> FlowRun:
        return flow_run_of(await self.call("GET", f"/flow_runs/{id}"))

    async def name_flow_run(self, id: UUID, name: str) -> None:
        await self.call("PATCH", f"/flow_runs/{id}", {"name": name})

    async def propose(self, flow_run_id: UUID, state: State[Any], transition_id: UUID, force: bool) -> Answer:
        body = {"state": _state_body(state, transition_id), "force": force}
        told = await self.call("POST", f"/flow_runs/{flow_run_id}/set_state", body)
        details = told.get("details") or {}
        return Answer(
            told["status"],
            None if told.get("state") is None else state_of(told["state"]),
            details.get("reason"),
            float(details.get("delay_seconds") or 0),
        )

    async def create_tracking_run(self, new: NewTrackingRun) -> UUID:
        body = {
            "name": new.name,
            "flow_run_id": str(new.flow_run_id),
            "task_key": new.task_key,
            "dynamic_key": new.dynamic_key,
            "task_inputs": new.task_inputs,
            "task_version": new.version,
            "tags": list(new.tags),
            "state": {"type": "PENDING"},
        }
        return UUID((await self.call("POST", "/task_runs/", body))["id"])

    async def find_child(self, task_run_id: UUID) -> FlowRun | None:
        body = {
            "flow_runs": {"parent_task_run_id": {"any_": [str(task_run_id)]}},
            "sort": "EXPECTED_START_TIME_DESC",
            "limit": 1,
        }
        found = await self.call("POST", "/flow_runs/filter", body)
        return flow_run_of(found[0]) if found else None

    async def hold_slots(self, tags: Sequence[str], task_run_id: UUID) -> tuple[UUID | None, float]:
        names = tuple(sorted(f"tag:{tag}" for tag in tags))
        if self._unlimited.get(names, 0.0) > time.monotonic():
            return None, 0.0
        body = {
            "names": list(names),
            "slots": 1,
            "mode": "concurrency",
            "lease_duration": _TAG_LEASE,
            "holder": {"type": "task_run", "id": str(task_run_id)},
        }
        try:
            told = await self.call("POST", "/v2/concurrency_limits/increment-with-lease", body)
        except ApiRefused as refused:
            if refused.status_code != 423:
                raise
            return None, max(refused.retry_after or 1.0, 0.1)
        if not told["limits"]:
            self._unlimited[names] = time.monotonic() + _UNLIMITED_FOR
            return None, 0.0
        lease = UUID(told["lease_id"])
        self._renewals[lease] = backstage.spawn(self._renew(lease))
        self._held[lease] = (told["limits"], tell_slots("acquired", told["limits"]))
        return lease, 0.0

    async def release_slots(self, lease_id: UUID) -> None:
        renewal = self._renewals.pop(lease_id, None)
        if renewal is not None:
            renewal.cancel()
        with suppress(ObjectNotFound):  # it had expired, or an earlier attempt gave it back
            await self.call("POST", "/v2/concurrency_limits/decrement-with-lease", {"lease_id": str(lease_id)})
        limits, before = self._held.pop(lease_id, ([], []))
        tell_slots("released", limits, before)

    async def _renew(self, lease_id: UUID) -> None:
        while True:
            await asyncio.sleep(_TAG_LEASE * 0.75)
            path = f"/v2/concurrency_limits/leases/{lease_id}/renew"
            try:
                await self.call("POST", path, {"lease_duration": _TAG_LEASE})
            except ObjectNotFound:
                return


def flow_run_of(told: Mapping[str, Any]) -> FlowRun:
    """A flow run from its JSON. Raises KeyError if it lacks an id."""
    values: dict[str, Any] = {
        name: told[name] for name in FlowRun.__dataclass_fields__ if told.get(name) is not None and name != "state"
    }
    for name in _IDS & values.keys():
        values[name] = UUID(values[name])
    for name in _TIMES & values.keys():
        values[name] = datetime.fromisoformat(values[name])
    state = told.get("state")
    return FlowRun(**{"name": "", **values}, state=None if state is None else state_of(state))


_IDS = {"id", "flow_id", "parent_task_run_id", "deployment_id", "work_queue_id", "work_pool_id"}
_TIMES = {"created", "expected_start_time", "next_scheduled_start_time", "start_time", "end_time"}


def state_of(told: Mapping[str, Any]) -> State[Any]:
    """A state from its JSON."""
    return State(
        told["type"],
        told.get("name"),
        told.get("message"),
        told.get("data"),
        StateDetails.from_json(dict(told.get("state_details") or {})),
        datetime.fromisoformat(told["timestamp"]),
        UUID(told["id"]),
    )


def to_jsonable(value: Any) -> Any:
    """Any value as JSON can have it: what it cannot is shown as text."""
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(value, fallback=_as_text, inf_nan_mode="strings")


def _as_text(value: Any) -> str:
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__qualname__}>"


def _state_body(state: State[Any], transition_id: UUID | None = None) -> dict[str, Any]:
    details = state.state_details.to_json()
    if transition_id is not None:
        details["transition_id"] = str(transition_id)
    data = state.data
    if isinstance(data, ResultRecord):
        data = None if data.metadata is None else data.metadata.to_json()
    elif not (isinstance(data, dict) and "storage_key" in data):
        data = None
    return {
        "type": state.type.value,
        "name": state.name,
        "message": state.message,
        "state_details": details,
        "data": data,
    }
