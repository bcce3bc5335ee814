"""What the server has recorded of an example, without what has to differ between two runs of it."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from typing import Any

import httpx

from tests.conformance.sdk.told import events_about
from tests.support.runs import checked

Json = dict[str, Any]
_RANDOM_FLOW_RUN = re.compile(r"[a-z]+-[a-z]+")
_RANDOM_TASK_RUN = re.compile(r"-([0-9a-z]{3}|[0-9]+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$")
_ORDER = ("flow", "name", "parameters", "states")
_UNHEARD = ("prefect.flow-run.heartbeat",)


class Recorded:
    """Reads runs with their states, artifacts, logs and events through the API."""

    def __init__(self, api: httpx.Client) -> None:
        self.api = api

    def example(self, side: str, name: str) -> Any:
        """Everything that an example left: its flow runs, and its task runs without a flow."""
        tags = {"all_": [side, f"example:{name}"]}
        runs = self._all("/flow_runs/filter", {"flow_runs": {"tags": tags}})
        alone = [
            task for task in self._all("/task_runs/filter", {"task_runs": {"tags": tags}}) if not task["flow_run_id"]
        ]
        found = {
            "flow_runs": _sorted(self.flow_run(run) for run in runs),
            "task_runs": _sorted(self.task_run(task, {}, self._events_of(f"task-run.{task['id']}")) for task in alone),
        }
        return anonymous(found, side)

    def flow_run(self, run: Json) -> Json:
        """One flow run with all that belongs to it."""
        id = run["id"]
        tasks = self._all("/task_runs/filter", {"flow_runs": {"id": {"any_": [id]}}})
        names = {task["id"]: _task_name(task["name"]) for task in tasks}
        events = self._events_of(f"flow-run.{id}")
        known = {f"prefect.flow-run.{id}", *(f"prefect.task-run.{task}" for task in names)}
        return {
            "flow": checked(self.api.get(f"/flows/{run['flow_id']}"))["name"],
            "name": "*" if _RANDOM_FLOW_RUN.fullmatch(run["name"]) else run["name"],
            "tags": _own_tags(run),
            "parameters": run["parameters"],
            "run_count": run["run_count"],
            "retries": _retries(run),
            "states": self._states("flow", id),
            "is_child": run["parent_task_run_id"] is not None,
            "events": events[f"prefect.flow-run.{id}"],
            "other_events": sorted(name for resource in events.keys() - known for name in events[resource]),
            "artifacts": self._artifacts(id, names),
            "logs": self._logs(id, names),
            "task_runs": _sorted(self.task_run(task, names, events) for task in tasks),
        }

    def task_run(self, task: Json, names: dict[str, str], events: dict[str, list[str]]) -> Json:
        states = self._states("task", task["id"])
        told = events[f"prefect.task-run.{task['id']}"]
        if states[:1] == ["SCHEDULED Scheduled"]:  # whoever takes such a run up may say so by an event, or the API
            told = [name for name in told if name != "prefect.task-run.Pending"]
        return {
            "name": _task_name(task["name"]),
            "tags": _own_tags(task),
            "run_count": task["run_count"],
            "flow_run_run_count": task["flow_run_run_count"],
            "retries": _retries(task),
            "states": states,
            "tracks_a_flow_run": (task["state"]["state_details"] or {}).get("child_flow_run_id") is not None,
            "inputs": {
                name: sorted(f"{one['input_type']} {names.get(one.get('id'), '')}" for one in inputs)
                for name, inputs in sorted(task["task_inputs"].items())
                if name != "self"
            },
            "events": told,
        }

    def _states(self, kind: str, id: str) -> list[str]:
        states = checked(self.api.get(f"/{kind}_run_states/", params={f"{kind}_run_id": id}))
        return [
            f"{state['type']} {state['name']}" for state in sorted(states, key=lambda state: str(state["timestamp"]))
        ]

    def _artifacts(self, id: str, names: dict[str, str]) -> list[Json]:
        found = self._all("/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [id]}}})
        wanted = [one for one in found if one["type"] not in ("result", None)]  # not the places of kept results
        return _sorted(
            {
                **{name: one[name] for name in ("type", "key", "data", "description")},
                "task": names.get(one["task_run_id"]),
            }
            for one in wanted
        )

    def _logs(self, id: str, names: dict[str, str]) -> list[Any]:
        found = self._all("/logs/filter", {"logs": {"flow_run_id": {"any_": [id]}}})
        return _sorted(
            [log["message"], log["level"], names.get(log["task_run_id"])]
            for log in found
            if log["message"].startswith("say ")
        )

    def _events_of(self, resource: str) -> dict[str, list[str]]:
        """Names of events by the resource that they are about, in their order."""
        named = defaultdict(list)
        for event in events_about(self.api, f"prefect.{resource}"):
            if event["event"] not in _UNHEARD:
                named[event["resource"]["prefect.resource.id"]].append(event["event"])
        return named

    def _all(self, path: str, criteria: Json) -> list[Json]:
        found: list[Json] = []
        while page := checked(self.api.post(path, json={**criteria, "limit": 200, "offset": len(found)})):
            found += page
            if len(page) < 200:
                break
        return found


def anonymous(value: Any, side: str) -> Any:
    """The value with `SIDE` in place of the side's name."""
    text = json.dumps(value)
    return json.loads(text.replace(f"{side}-", "SIDE-").replace(f"{side}_", "SIDE_"))


def _sorted(items: Any) -> list[Any]:
    """In an order that does not depend on what came first, like things beside each other."""

    def key(item: Any) -> list[str]:
        parts = [item.get(name) for name in _ORDER] if isinstance(item, dict) else []
        return [json.dumps(part, sort_keys=True) for part in [*parts, item]]

    return sorted(items, key=key)


def _task_name(name: str) -> str:
    return _RANDOM_TASK_RUN.sub("-*", name)


def _own_tags(run: Json) -> list[str]:
    return sorted(tag for tag in run["tags"] if tag not in ("stock", "ours") and not tag.startswith("example:"))


def _retries(run: Json) -> list[Any]:
    """How often, and after how many seconds: 0 and 0.0 are the same."""
    policy = run["empirical_policy"]
    delay = policy.get("retry_delay")
    return [policy.get("retries") or 0, list(map(float, delay)) if isinstance(delay, list) else float(delay or 0)]
