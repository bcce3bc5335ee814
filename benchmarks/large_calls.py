"""The list calls a UI and the CLI make, with the bodies they send, on a database of :mod:`benchmarks.large_seed`."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

__all__ = ["Call", "Facts", "calls_of", "facts_of", "list_calls", "recorded_calls"]

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    method: str
    path: str
    body: Any = None


@dataclass(frozen=True, slots=True)
class Facts:
    """Things of the database that calls name, the busiest of their kind."""

    now: datetime
    flow: str
    deployment: str
    big_run: str
    some_run: str
    task_run: str
    pool: str
    pool_id: str
    queue: str
    queue_name: str
    recent_runs: list[str]
    flows: list[str]
    deployments: list[str]
    artifact_key: str

    def since(self, days: float) -> str:
        return (self.now - timedelta(days=days)).isoformat()

    def window(self, days: float) -> Body:
        return {"after_": self.since(days), "before_": self.now.isoformat()}


async def calls_of(url: str, recorded: Path | None = None) -> Callable[[], list[Call]]:
    """What to measure on the database at ``url``; of recorded calls those alone.

    The calls are the same each time, but for their windows, which move along with the time as those of a page do.
    """
    connection = await asyncpg.connect(url)
    try:
        facts = await facts_of(connection)
    finally:
        await connection.close()

    def calls() -> list[Call]:
        present = dataclasses.replace(facts, now=datetime.now(UTC))
        return list(recorded_calls(recorded, present) if recorded else list_calls(present))

    return calls


async def facts_of(connection: asyncpg.Connection) -> Facts:
    async def ids(sql: str) -> list[str]:
        return [str(row[0]) for row in await connection.fetch(sql)]

    [flow] = await ids("SELECT flow_id FROM flow_run GROUP BY 1 ORDER BY count(*) DESC LIMIT 1")
    [deployment] = await ids(
        "SELECT deployment_id FROM flow_run WHERE deployment_id IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC LIMIT 1"
    )
    place = await connection.fetchrow(
        """
        SELECT q.id AS queue, q.name AS queue_name, p.id AS pool_id, p.name AS pool
        FROM deployment d JOIN work_queue q ON q.id = d.work_queue_id JOIN work_pool p ON p.id = q.work_pool_id
        WHERE d.id = $1::text::uuid
        """,
        deployment,
    )
    assert place is not None
    [big_run] = await ids("SELECT flow_run_id FROM task_run GROUP BY 1 ORDER BY count(*) DESC LIMIT 1")
    [some_run] = await ids(
        "SELECT id FROM flow_run r WHERE EXISTS (SELECT FROM task_run t WHERE t.flow_run_id = r.id) "
        "AND state_type = 'COMPLETED' ORDER BY id DESC LIMIT 1"
    )
    [task_run] = await ids("SELECT task_run_id FROM log WHERE task_run_id IS NOT NULL ORDER BY timestamp DESC LIMIT 1")
    return Facts(
        now=datetime.now(UTC),
        flow=flow,
        deployment=deployment,
        big_run=big_run,
        some_run=some_run,
        task_run=task_run,
        **{name: str(value) for name, value in place.items()},
        recent_runs=await ids("SELECT id FROM flow_run ORDER BY start_time DESC NULLS LAST LIMIT 50"),
        flows=await ids("SELECT id FROM flow ORDER BY name LIMIT 100"),
        deployments=await ids("SELECT id FROM deployment ORDER BY name LIMIT 100"),
        artifact_key=(await ids("SELECT key FROM artifact_collection ORDER BY key LIMIT 1"))[0],
    )


def recorded_calls(path: Path, facts: Facts) -> Iterator[Call]:
    """List calls of somebody who watched a UI: JSON lines with ``page``, ``method``, ``path`` and ``body``.

    ``$flow`` and the like stand for the fact of that name, ``$now-3600`` for an hour ago.
    """

    def filled(found: re.Match[str]) -> str:
        name, seconds = found.groups()
        return facts.since(int(seconds or 0) / -86400) if name == "now" else str(getattr(facts, name))

    for number, line in enumerate(path.read_text().splitlines(), start=1):
        entry = json.loads(_PLACEHOLDER.sub(filled, line))
        yield Call(f"{number:03} {entry['page']}", entry["method"], entry["path"], entry["body"])


_PLACEHOLDER = re.compile(r"\$([a-z_]+)([+-]\d+)?")


def list_calls(facts: Facts) -> Iterator[Call]:
    for name, path, body in (
        *_dashboard(facts),
        *_flow_run_pages(facts),
        *_task_run_pages(facts),
        *_flow_pages(facts),
        *_deployment_pages(facts),
        *_pool_pages(facts),
        *_event_pages(facts),
        *_log_and_artifact_pages(facts),
        *_command_line(facts),
    ):
        yield Call(name, "GET" if body is None else "POST", path, body)


Row = tuple[str, str, Body | None]
_FAILED = {"any_": ["FAILED", "CRASHED"]}


def _dashboard(f: Facts) -> Iterator[Row]:
    for label, days, step in (("day", 1.0, 3600), ("week", 7.0, 6 * 3600), ("month", 30.0, 86400)):
        started = {"flow_runs": {"start_time": f.window(days)}}
        expected = {"flow_runs": {"expected_start_time": f.window(days)}}
        yield f"dashboard {label}: runs", "/flow_runs/count", started
        yield f"dashboard {label}: runs expected", "/flow_runs/count", expected
        for types in (
            ["FAILED", "CRASHED"],
            ["RUNNING", "PENDING", "CANCELLING"],
            ["COMPLETED"],
            ["SCHEDULED", "PAUSED"],
        ):
            body = {"flow_runs": {"start_time": f.window(days), "state": {"type": {"any_": types}}}}
            yield f"dashboard {label}: {types[0].lower()}", "/flow_runs/count", body
        late = {"state": {"name": {"any_": ["Late"]}}, "start_time": f.window(days)}
        yield f"dashboard {label}: late", "/flow_runs/count", {"flow_runs": late}
        yield f"dashboard {label}: lateness", "/flow_runs/lateness", expected
        span = {"history_start": f.since(days), "history_end": f.now.isoformat(), "history_interval_seconds": step}
        yield f"dashboard {label}: history", "/flow_runs/history", {**span, **expected}
        yield f"dashboard {label}: dots", "/ui/flow_runs/history", {**started, "sort": "START_TIME_ASC", "limit": 1000}
        yield (
            f"dashboard {label}: task runs",
            "/ui/task_runs/dashboard/counts",
            {"task_runs": {"start_time": f.window(days)}},
        )
        yield f"dashboard {label}: task runs counted", "/task_runs/count", {"task_runs": {"start_time": f.window(days)}}
        yield (
            f"dashboard {label}: task runs failed",
            "/task_runs/count",
            {"task_runs": {"start_time": f.window(days), "state": {"type": _FAILED}}},
        )
        yield (
            f"dashboard {label}: task runs of a pool",
            "/ui/task_runs/dashboard/counts",
            {
                "task_runs": {"start_time": f.window(days)},
                "work_pools": {"name": {"any_": [f.pool]}},
            },
        )
        yield f"dashboard {label}: runs of a pool", "/flow_runs/count", {
            **started, "work_pools": {"name": {"any_": [f.pool]}}
        }  # fmt: skip
        yield f"dashboard {label}: lateness of a pool", "/flow_runs/lateness", {
            **expected, "work_pools": {"name": {"any_": [f.pool]}}
        }  # fmt: skip
    yield "is there any flow run", "/flow_runs/count", {}
    yield "is there any task run", "/task_runs/count", {}
    yield "task runs by state of a run", "/ui/task_runs/count", {"flow_runs": {"id": {"any_": [f.big_run]}}}


def _flow_run_pages(f: Facts) -> Iterator[Row]:
    for sort in (
        "START_TIME_DESC",
        "START_TIME_ASC",
        "EXPECTED_START_TIME_DESC",
        "END_TIME_DESC",
        "NAME_ASC",
        "ID_DESC",
    ):
        yield f"runs by {sort}", "/flow_runs/filter", {"sort": sort, "limit": 50}
        yield f"runs page by {sort}", "/flow_runs/paginate", {"sort": sort, "limit": 50, "page": 1}
        yield f"runs of a week by {sort}", "/flow_runs/paginate", {
            "sort": sort, "limit": 10, "page": 1, "flow_runs": {"expected_start_time": f.window(7)}
        }  # fmt: skip
    yield "runs, page 20", "/flow_runs/paginate", {"sort": "START_TIME_DESC", "limit": 50, "page": 20}
    narrowed: dict[str, Body] = {
        "of a flow": {"flows": {"id": {"any_": [f.flow]}}},
        "of a deployment": {"deployments": {"id": {"any_": [f.deployment]}}},
        "by deployment id": {"flow_runs": {"deployment_id": {"any_": [f.deployment]}}},
        "of a pool": {"work_pools": {"name": {"any_": [f.pool]}}},
        "of a queue": {"work_pool_queues": {"id": {"any_": [f.queue]}}},
        "failed": {"flow_runs": {"state": {"type": _FAILED}}},
        "late": {"flow_runs": {"state": {"name": {"any_": ["Late"]}}}},
        "running": {"flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}}},
        "tagged": {"flow_runs": {"tags": {"all_": ["team-3"]}}},
        "named": {"flow_runs": {"name": {"like_": "otter-nothing"}}},
        "named often": {"flow_runs": {"name": {"like_": "wolf"}}},
        "without parent": {"flow_runs": {"parent_task_run_id": {"is_null_": True}}},
        "upcoming": {
            "flow_runs": {
                "state": {"type": {"any_": ["SCHEDULED"]}},
                "expected_start_time": {"after_": f.now.isoformat()},
            }
        },
    }
    for name, body in narrowed.items():
        week = dict(body)
        week["flow_runs"] = {**body.get("flow_runs", {}), "start_time": {"after_": f.since(7)}}
        if name == "upcoming":
            week = body
        yield f"runs {name}, a week", "/flow_runs/paginate", {**week, "sort": "START_TIME_DESC", "limit": 10, "page": 1}
        yield f"runs {name}, listed", "/flow_runs/filter", {**body, "sort": "START_TIME_DESC", "limit": 10}
        yield f"runs {name}, counted", "/flow_runs/count", body
    yield "subflows of a run", "/flow_runs/filter", {
        "flow_runs": {"parent_flow_run_id": {"any_": [f.some_run]}}, "sort": "START_TIME_DESC", "limit": 50
    }  # fmt: skip
    yield "subflows of a run counted", "/flow_runs/paginate", {
        "flow_runs": {"parent_flow_run_id": {"any_": [f.big_run]}}, "limit": 10, "page": 1
    }  # fmt: skip
    yield "task runs of runs", "/ui/flow_runs/count-task-runs", {"flow_run_ids": f.recent_runs}
    yield "graph of a run", f"/flow_runs/{f.some_run}/graph-v2", None
    yield "graph of a big run", f"/flow_runs/{f.big_run}/graph-v2", None


def _task_run_pages(f: Facts) -> Iterator[Row]:
    for sort in ("EXPECTED_START_TIME_DESC", "END_TIME_DESC", "NAME_ASC", "ID_DESC"):
        yield f"task runs by {sort}", "/task_runs/filter", {"sort": sort, "limit": 50}
    yield "task runs of a run", "/task_runs/paginate", {
        "flow_runs": {"id": {"any_": [f.big_run]}}, "sort": "EXPECTED_START_TIME_DESC", "limit": 50, "page": 1
    }  # fmt: skip
    yield "task runs by run id", "/task_runs/filter", {
        "task_runs": {"flow_run_id": {"any_": [f.big_run]}}, "sort": "EXPECTED_START_TIME_ASC", "limit": 200
    }  # fmt: skip
    week: Body = {"flow_runs": {"start_time": {"after_": f.since(7)}}}
    narrowed: dict[str, Body] = {
        "expected": {"task_runs": {"expected_start_time": {"after_": f.since(7)}}},
        "started": {"task_runs": {"start_time": {"after_": f.since(7)}}},
        "of runs": week,
        "of a flow": {"flows": {"id": {"any_": [f.flow]}}, **week},
        "of a deployment": {"deployments": {"id": {"any_": [f.deployment]}}, **week},
        "failed": {"task_runs": {"state": {"type": _FAILED}}, **week},
        "running": {"task_runs": {"state": {"type": {"any_": ["RUNNING"]}}}},
        "named": {"task_runs": {"name": {"like_": "task_3"}}, **week},
        "tagged": {"task_runs": {"tags": {"all_": ["slow"]}}, **week},
    }
    for name, body in narrowed.items():
        listed = {**body, "sort": "EXPECTED_START_TIME_DESC", "limit": 10}
        yield f"task runs {name}, a week", "/task_runs/paginate", {**listed, "page": 1}
        yield f"task runs {name}, listed", "/task_runs/filter", listed
    yield "task runs history", "/task_runs/history", {
        "history_start": f.since(1), "history_end": f.now.isoformat(), "history_interval_seconds": 3600
    }  # fmt: skip


def _flow_pages(f: Facts) -> Iterator[Row]:
    for sort in ("NAME_ASC", "CREATED_DESC", "UPDATED_DESC"):
        yield f"flows by {sort}", "/flows/paginate", {"sort": sort, "limit": 50, "page": 1}
    week = {"flow_runs": {"start_time": f.window(7)}}
    yield "flows counted", "/flows/count", {}
    yield "flows with runs of a week", "/flows/paginate", {**week, "limit": 50, "page": 1}
    yield (
        "flows with failed runs",
        "/flows/paginate",
        {"flow_runs": {"state": {"type": _FAILED}, "start_time": f.window(1)}},
    )
    yield "flows with late runs", "/flows/filter", {"flow_runs": {"state": {"name": {"any_": ["Late"]}}}}
    yield "flows with task runs", "/flows/count", {"task_runs": {"state": {"type": _FAILED}}}
    yield "flows of a pool", "/flows/paginate", {"work_pools": {"name": {"any_": [f.pool]}}, "limit": 50, "page": 1}
    yield "flows: next runs", "/ui/flows/next-runs", {"flow_ids": f.flows}
    yield "flows: deployments", "/ui/flows/count-deployments", {"flow_ids": f.flows}
    for name in (f.flow, f.flows[-1]):
        yield f"flow: last run of {name[-3:]}", "/flow_runs/filter", {
            "flows": {"id": {"any_": [name]}}, "sort": "START_TIME_DESC", "limit": 1,
            "flow_runs": {"state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED", "CANCELLED", "RUNNING"]}}},
        }  # fmt: skip
        yield f"flow: next run of {name[-3:]}", "/flow_runs/filter", {
            "flows": {"id": {"any_": [name]}}, "sort": "EXPECTED_START_TIME_ASC", "limit": 1,
            "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
        }  # fmt: skip


def _deployment_pages(f: Facts) -> Iterator[Row]:
    for sort in ("NAME_ASC", "CREATED_DESC", "UPDATED_DESC"):
        yield f"deployments by {sort}", "/deployments/paginate", {"sort": sort, "limit": 50, "page": 1}
    yield "deployments counted", "/deployments/count", {}
    yield "deployments of a flow", "/deployments/filter", {"flows": {"id": {"any_": [f.flow]}}, "limit": 50}
    yield "deployments named", "/deployments/paginate", {
        "deployments": {"flow_or_deployment_name": {"like_": "flow-1"}}, "limit": 50, "page": 1
    }  # fmt: skip
    yield "deployments of a pool", "/deployments/paginate", {"work_pools": {"name": {"any_": [f.pool]}}, "limit": 50}
    yield "deployments with late runs", "/deployments/count", {"flow_runs": {"state": {"name": {"any_": ["Late"]}}}}
    yield "deployments with runs of a week", "/deployments/filter", {"flow_runs": {"start_time": f.window(7)}}
    yield (
        "scheduled runs of deployments",
        "/deployments/get_scheduled_flow_runs",
        {"deployment_ids": f.deployments, "limit": 100},
    )
    for deployment in (f.deployment, f.deployments[-1]):
        mine = {"deployments": {"id": {"any_": [deployment]}}}
        yield f"deployment: runs of {deployment[-3:]}", "/flow_runs/paginate", {
            **mine, "sort": "START_TIME_DESC", "limit": 10, "page": 1
        }  # fmt: skip
        yield f"deployment: next run of {deployment[-3:]}", "/flow_runs/filter", {
            **mine, "sort": "EXPECTED_START_TIME_ASC", "limit": 1,
            "flow_runs": {"state": {"name": {"any_": ["Scheduled"]}}},
        }  # fmt: skip
        yield f"deployment: upcoming of {deployment[-3:]}", "/flow_runs/paginate", {
            **mine, "sort": "EXPECTED_START_TIME_ASC", "limit": 10, "page": 1,
            "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
        }  # fmt: skip


def _pool_pages(f: Facts) -> Iterator[Row]:
    yield "pools", "/work_pools/filter", {"limit": 200}
    yield "pools counted", "/work_pools/count", {}
    yield "queues of a pool", f"/work_pools/{f.pool}/queues/filter", {}
    yield "workers of a pool", f"/work_pools/{f.pool}/workers/filter", {}
    yield "scheduled runs of a pool", f"/work_pools/{f.pool}/get_scheduled_flow_runs", {"limit": 100}
    yield "queues", "/work_queues/filter", {}
    yield "status of a queue", f"/work_queues/{f.queue}/status", None
    yield "runs of a pool's late ones", "/flow_runs/count", {
        "work_pools": {"name": {"any_": [f.pool]}}, "flow_runs": {"state": {"name": {"any_": ["Late"]}}}
    }  # fmt: skip
    yield "last run of a pool", "/flow_runs/filter", {
        "work_pools": {"name": {"any_": [f.pool]}}, "sort": "START_TIME_DESC", "limit": 1,
        "flow_runs": {"state": {"type": {"any_": ["COMPLETED", "FAILED", "RUNNING"]}}},
    }  # fmt: skip


def _event_pages(f: Facts) -> Iterator[Row]:
    day, week = ({"since": f.since(days), "until": f.now.isoformat()} for days in (1, 7))
    run = f"prefect.flow-run.{f.some_run}"
    filters: dict[str, Body] = {
        "of a day": {"occurred": day},
        "of a week": {"occurred": week},
        "ascending": {"occurred": week, "order": "ASC"},
        "of a run": {"occurred": week, "any_resource": {"id": [run]}},
        "about a run": {"occurred": week, "resource": {"id": [run]}},
        "of a flow": {"occurred": week, "related": {"id": [f"prefect.flow.{f.flow}"], "role": ["flow"]}},
        "of a deployment": {"occurred": week, "any_resource": {"id": [f"prefect.deployment.{f.deployment}"]}},
        "by name": {"occurred": week, "event": {"name": ["prefect.flow-run.Failed"]}},
        "by prefix": {"occurred": week, "event": {"prefix": ["shop."]}},
        "without logs of tasks": {"occurred": week, "event": {"exclude_prefix": ["prefect.task-run."]}},
        "by resource prefix": {"occurred": week, "any_resource": {"id_prefix": ["prefect.flow-run."]}},
        "by rare resource prefix": {"occurred": day, "resource": {"id_prefix": ["shop.order.77"]}},
        "by text": {"occurred": day, "text": {"query": "shop"}},
    }
    for name, filter in filters.items():
        yield f"events {name}", "/events/filter", {"filter": filter, "limit": 50}
    for kind in ("event", "resource", "time", "day"):
        yield f"events of a day by {kind}", f"/events/count-by/{kind}", {
            "filter": {"occurred": day}, "time_unit": "hour", "time_interval": 1
        }  # fmt: skip
    yield "events of a week by time", "/events/count-by/time", {
        "filter": {"occurred": week}, "time_unit": "hour", "time_interval": 4
    }  # fmt: skip
    yield "events of a week by day", "/events/count-by/day", {"filter": {"occurred": week}}
    yield "events of a week by event", "/events/count-by/event", {"filter": {"occurred": week}}
    yield "events of a resource by time", "/events/count-by/time", {
        "filter": {"occurred": week, "any_resource": {"id": [f"prefect.deployment.{f.deployment}"]}},
        "time_unit": "day", "time_interval": 1,
    }  # fmt: skip


def _log_and_artifact_pages(f: Facts) -> Iterator[Row]:
    for name, run in (("a run", f.some_run), ("a big run", f.big_run)):
        logs: Body = {"flow_run_id": {"any_": [run]}}
        yield f"logs of {name}", "/logs/filter", {"logs": logs, "sort": "TIMESTAMP_ASC", "limit": 200}
        yield f"logs of {name}, newest", "/logs/filter", {"logs": logs, "sort": "TIMESTAMP_DESC", "limit": 200}
        worse = {**logs, "level": {"ge_": 40}}
        yield f"errors of {name}", "/logs/filter", {"logs": worse, "sort": "TIMESTAMP_ASC", "limit": 200}
        deep = {"logs": logs, "sort": "TIMESTAMP_ASC", "limit": 200, "offset": 2000}
        yield f"logs of {name}, page 11", "/logs/filter", deep
    task = {"task_run_id": {"any_": [f.task_run]}}
    yield "logs of a task run", "/logs/filter", {"logs": task, "sort": "TIMESTAMP_ASC", "limit": 200}
    yield "logs, newest", "/logs/filter", {"sort": "TIMESTAMP_DESC", "limit": 200}
    yield "logs of an hour", "/logs/filter", {"logs": {"timestamp": f.window(1 / 24)}, "sort": "TIMESTAMP_DESC"}
    yield (
        "artifacts of a run",
        "/artifacts/filter",
        {"artifacts": {"flow_run_id": {"any_": [f.some_run]}}, "sort": "KEY_ASC"},
    )
    yield "artifacts of a key", "/artifacts/filter", {
        "artifacts": {"key": {"any_": [f.artifact_key]}}, "sort": "UPDATED_DESC", "limit": 10
    }  # fmt: skip
    yield "artifacts of a key, counted", "/artifacts/count", {"artifacts": {"key": {"any_": [f.artifact_key]}}}
    yield "artifacts", "/artifacts/filter", {"sort": "ID_DESC", "limit": 50}
    yield "artifacts by creation", "/artifacts/filter", {"sort": "CREATED_DESC", "limit": 50}
    yield "artifacts but results", "/artifacts/filter", {
        "artifacts": {"type": {"not_any_": ["result"]}}, "sort": "ID_DESC", "limit": 50
    }  # fmt: skip
    yield "artifacts counted", "/artifacts/count", {}
    yield "latest artifacts", "/artifacts/latest/filter", {"sort": "UPDATED_DESC", "limit": 50}
    yield "latest artifacts counted", "/artifacts/latest/count", {}


def _command_line(f: Facts) -> Iterator[Row]:
    newest: Body = {"sort": "EXPECTED_START_TIME_DESC", "limit": 15, "offset": 0}
    yield "flow-run ls", "/flow_runs/filter", newest
    yield (
        "flow-run ls --state",
        "/flow_runs/filter",
        {**newest, "flow_runs": {"state": {"name": {"any_": ["Running"]}}}},
    )
    yield "flow-run ls --state-type", "/flow_runs/filter", {**newest, "flow_runs": {"state": {"type": _FAILED}}}
    yield (
        "flow-run ls --state, rare",
        "/flow_runs/filter",
        {**newest, "flow_runs": {"state": {"name": {"any_": ["Cancelling"]}}}},
    )
    yield (
        "flow-run ls --state, none",
        "/flow_runs/filter",
        {**newest, "flow_runs": {"state": {"name": {"any_": ["Nowhere"]}}}},
    )
    yield "flow-run ls --flow-name", "/flow_runs/filter", {**newest, "flows": {"name": {"any_": ["flow-7"]}}}
    yield "flow-run ls --flow-name, rare", "/flow_runs/filter", {**newest, "flows": {"name": {"any_": ["flow-199"]}}}
    yield "task-run ls", "/task_runs/filter", {"sort": "EXPECTED_START_TIME_DESC", "limit": 15, "task_runs": {}}
    yield "task-run ls --state", "/task_runs/filter", {
        "sort": "EXPECTED_START_TIME_DESC", "limit": 15, "task_runs": {"state": {"name": {"any_": ["AwaitingRetry"]}}}
    }  # fmt: skip
    yield "task-run ls --task-run-name", "/task_runs/filter", {
        "sort": "EXPECTED_START_TIME_DESC", "limit": 15, "task_runs": {"name": {"any_": ["task_4-4999"]}}
    }  # fmt: skip
    yield "flow ls", "/flows/filter", {"sort": "CREATED_DESC", "limit": 15, "offset": 0}
    yield "deployment ls", "/deployments/filter", {"offset": 0}
    yield "flows of ids", "/flows/filter", {"flows": {"id": {"any_": f.flows}}}
    yield "is a run cancelled", "/flow_runs/filter", {
        "flow_runs": {"id": {"any_": [f.some_run]}, "state": {"type": {"any_": ["CANCELLING"]}}}, "offset": 0
    }  # fmt: skip
    yield "runs of a parent", "/flow_runs/filter", {
        "flow_runs": {"parent_task_run_id": {"any_": [f.task_run]}}, "sort": "EXPECTED_START_TIME_DESC", "limit": 1
    }  # fmt: skip
