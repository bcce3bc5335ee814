"""What the protocol says about filters, evaluated in Python on rows: nothing here knows how the server does it.

A filter is taken as the JSON of a request. The tables below name what each member looks at; a member or an operator
that is missing here raises, so nothing new goes unproved.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from tests.integration.filters.seed import Row

Json = dict[str, Any]
World = dict[str, list[Row]]

# --- operators -----------------------------------------------------------------------------------------


def _moment(value: Any) -> Any:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def _like(value: str | None, pattern: str) -> bool:
    wild = "".join({"%": ".*", "_": "."}.get(char, re.escape(char)) for char in pattern)
    return pattern == "" or (value is not None and re.search(wild, value, re.IGNORECASE | re.DOTALL) is not None)


def _starts(value: str | None, prefixes: list[str]) -> bool:
    return not prefixes or (value is not None and any(value.lower().startswith(p.lower()) for p in prefixes))


def _at_most(value: Any, bound: Any) -> bool:
    return value is not None and bool(value <= _moment(bound))


def _at_least(value: Any, bound: Any) -> bool:
    return value is not None and bool(value >= _moment(bound))


def _search(text: str, query: str) -> bool:
    """``err "time out" -debug +api``: any of the plain terms, none of the excluded, all of the required."""
    terms = [(kind, phrase or word) for kind, phrase, word in re.findall(r'([-!+]?)(?:"([^"]*)"|(\S+))', query)]

    def has(term: str) -> bool:
        return term.lower() in text.lower()

    plain = [term for kind, term in terms if not kind]
    return (
        (not plain or any(map(has, plain)))
        and not any(has(term) for kind, term in terms if kind in ("-", "!"))
        and all(has(term) for kind, term in terms if kind == "+")
    )


VALUES: dict[str, Callable[[Any, Any], bool]] = {
    "any_": lambda value, wanted: value is not None and value in wanted,
    "not_any_": lambda value, wanted: not wanted or (value is not None and value not in wanted),
    "like_": _like,
    "startswith_": _starts,
    "is_null_": lambda value, wanted: (value is None) is wanted,
    "exists_": lambda value, wanted: (value is not None) is wanted,
    "eq_": lambda value, wanted: value is wanted,
    "before_": _at_most,
    "after_": _at_least,
    "le_": _at_most,
    "ge_": _at_least,
    "query": _search,
}
TAGS: dict[str, Callable[[Any, Any], bool]] = {
    "all_": lambda value, wanted: set(wanted) <= set(value),
    "any_": lambda value, wanted: bool(set(wanted) & set(value)),
    "is_null_": lambda value, wanted: (not value) is wanted,
}


def _said(asked: Json) -> Iterable[tuple[str, Any]]:
    return [(name, value) for name, value in asked.items() if value is not None and name != "operator"]


def _joined(asked: Json, verdicts: list[bool]) -> bool:
    return not verdicts or (any(verdicts) if asked.get("operator") == "or_" else all(verdicts))


def on_value(value: Any, asked: Json) -> bool:
    operators = TAGS if isinstance(value, list) else VALUES
    return _joined(asked, [operators[name](value, wanted) for name, wanted in _said(asked)])


# --- members -------------------------------------------------------------------------------------------


def _tags(world: World, row: Row, asked: Json) -> bool:
    """An empty ``all_`` says nothing."""
    return on_value(row["tags"], {k: v for k, v in asked.items() if (k, v) != ("all_", [])})


def _deployment_of_flow(world: World, flow: Row, asked: Json) -> bool:
    has = [d for d in world["deployment"] if d["flow_id"] == flow["id"]]
    return on_value(has[0]["id"] if has else None, asked)


def _state(world: World, run: Row, asked: Json) -> bool:
    return _joined(asked, [on_value(run[f"state_{name}"], member) for name, member in _said(asked)])


def _start_time(world: World, run: Row, asked: Json) -> bool:
    window = {k: v for k, v in asked.items() if k != "is_null_"}
    value = run["start_time"] if run["start_time"] is not None else run["expected_start_time"]
    return on_value(value, window) and on_value(run["start_time"], {"is_null_": asked.get("is_null_")})


def _parent_flow_run(world: World, run: Row, asked: Json) -> bool:
    parents = [task for task in world["task_run"] if task["id"] == run["parent_task_run_id"]]
    return on_value(parents[0]["flow_run_id"] if parents else None, asked)


def _created_by(world: World, run: Row, asked: Json) -> bool:
    creator = run["created_by"] or {}
    verdicts = {
        "id_": lambda wanted: creator.get("id") in wanted,
        "type_": lambda wanted: creator.get("type") in wanted,
        "is_null_": lambda wanted: (run["created_by"] is None) is wanted,
    }
    return _joined(asked, [verdicts[name](wanted) for name, wanted in _said(asked)])


def _subflow_runs(world: World, task: Row, asked: Json) -> bool:
    has = [run for run in world["flow_run"] if run["parent_task_run_id"] == task["id"]]
    return on_value(has[0]["id"] if has else None, asked)


def _flow_run_id(world: World, task: Row, asked: Json) -> bool:
    """That there is no flow run goes before ``any_``; without both the member demands one, unless it says null."""
    if asked.get("any_") is not None and not asked.get("is_null_"):
        return on_value(task["flow_run_id"], {"any_": asked["any_"]})
    return on_value(task["flow_run_id"], {"is_null_": asked.get("is_null_", False)})


def _either_name(world: World, deployment: Row, asked: Json) -> bool:
    flow = next(flow for flow in world["flow"] if flow["id"] == deployment["flow_id"])
    return on_value(deployment["name"], asked) or on_value(flow["name"], asked)


Member = Callable[[World, Row, Json], bool]
_SPECIAL: dict[tuple[str, str], Member] = {
    ("flow", "tags"): _tags,
    ("flow_run", "tags"): _tags,
    ("task_run", "tags"): _tags,
    ("deployment", "tags"): _tags,
    ("variable", "tags"): _tags,
    ("flow", "deployment"): _deployment_of_flow,
    ("flow_run", "state"): _state,
    ("flow_run", "start_time"): _start_time,
    ("flow_run", "parent_flow_run_id"): _parent_flow_run,
    ("flow_run", "created_by"): _created_by,
    ("task_run", "state"): _state,
    ("task_run", "subflow_runs"): _subflow_runs,
    ("task_run", "flow_run_id"): _flow_run_id,
    ("deployment", "flow_or_deployment_name"): _either_name,
    ("block_schema", "block_capabilities"): lambda world, row, asked: on_value(row["capabilities"], asked),
    ("log", "text"): lambda world, row, asked: on_value(f"{row['message']} {row['name']}", asked),
}
IGNORED = {("deployment", "concurrency_limit")}  # accepted, and without effect


def matches(world: World, table: str, row: Row, filter: Json) -> bool:
    """Whether a row satisfies the filter of its own resource."""
    if table == "block_document":
        filter = {"is_anonymous": {"eq_": False}, **filter}
    verdicts = []
    for name, asked in _said(filter):
        if (table, name) not in IGNORED:
            special = _SPECIAL.get((table, name))
            verdicts.append(special(world, row, asked) if special else on_value(row[name], asked))
    return _joined(filter, verdicts)


# --- joins ---------------------------------------------------------------------------------------------


class Asked:
    """One request's body on one world: which rows it is about."""

    def __init__(self, world: World, body: Json) -> None:
        self.world = world
        self.body = {key: value for key, value in body.items() if value is not None}

    def ok(self, key: str, table: str, row: Row) -> bool:
        return key not in self.body or matches(self.world, table, row, self.body[key])

    def some(self, table: str, column: str, value: Any) -> list[Row]:
        return [] if value is None else [row for row in self.world[table] if row[column] == value]

    def in_queue(self, row: Row) -> bool:
        if not self.body.keys() & {"work_pool_queues", "work_pools"}:
            return True
        return any(
            self.ok("work_pool_queues", "work_queue", queue)
            and any(self.ok("work_pools", "work_pool", p) for p in self.some("work_pool", "id", queue["work_pool_id"]))
            for queue in self.some("work_queue", "id", row["work_queue_id"])
        )

    def one(self, key: str, table: str, id: Any) -> bool:
        """The object with this id is there and matches, if there is anything asked of it."""
        return key not in self.body or any(self.ok(key, table, row) for row in self.some(table, "id", id))

    def has_task(self, run: Row) -> bool:
        tasks = self.some("task_run", "flow_run_id", run["id"])
        return "task_runs" not in self.body or any(self.ok("task_runs", "task_run", task) for task in tasks)

    def has_run(self, column: str, id: Any) -> bool:
        if not self.body.keys() & {"flow_runs", "task_runs"}:
            return True
        runs = self.some("flow_run", column, id)
        return any(self.ok("flow_runs", "flow_run", run) and self.has_task(run) for run in runs)

    def of_run(self, id: Any) -> bool:
        """The flow run with this id satisfies what is asked of runs, their flows and their deployments, together."""
        if not self.body.keys() & {"flow_runs", "flows", "deployments"}:
            return True
        return any(
            self.ok("flow_runs", "flow_run", run)
            and self.one("flows", "flow", run["flow_id"])
            and self.one("deployments", "deployment", run["deployment_id"])
            for run in self.some("flow_run", "id", id)
        )

    def flow(self, flow: Row) -> bool:
        own = self.some("deployment", "flow_id", flow["id"])
        deployed = not self.body.keys() & {"deployments", "work_pools"} or any(
            self.ok("deployments", "deployment", deployment) and self.in_queue(deployment) for deployment in own
        )
        return self.ok("flows", "flow", flow) and deployed and self.has_run("flow_id", flow["id"])

    def flow_run(self, run: Row) -> bool:
        return (
            self.ok("flow_runs", "flow_run", run)
            and self.one("flows", "flow", run["flow_id"])
            and self.one("deployments", "deployment", run["deployment_id"])
            and self.has_task(run)
            and self.in_queue(run)
        )

    def task_run(self, task: Row) -> bool:
        return self.ok("task_runs", "task_run", task) and self.of_run(task["flow_run_id"])

    def deployment(self, deployment: Row) -> bool:
        return (
            self.ok("deployments", "deployment", deployment)
            and self.one("flows", "flow", deployment["flow_id"])
            and self.has_run("deployment_id", deployment["id"])
            and self.in_queue(deployment)
        )

    def artifact(self, artifact: Row, table: str = "artifact") -> bool:
        return (
            self.ok("artifacts", table, artifact)
            and self.of_run(artifact["flow_run_id"])
            and self.one("task_runs", "task_run", artifact["task_run_id"])
        )

    def artifact_collection(self, collection: Row) -> bool:
        return self.artifact(collection, "artifact_collection")

    def block_type(self, type: Row) -> bool:
        schemas = self.some("block_schema", "block_type_id", type["id"])
        has = "block_schemas" not in self.body or any(self.ok("block_schemas", "block_schema", s) for s in schemas)
        return self.ok("block_types", "block_type", type) and has

    def block_document(self, document: Row) -> bool:
        return (
            matches(self.world, "block_document", document, self.body.get("block_documents", {}))
            and self.one("block_types", "block_type", document["block_type_id"])
            and self.one("block_schemas", "block_schema", document["block_schema_id"])
        )


def expected(world: World, table: str, key: str | None, body: Json) -> list[Row]:
    """The rows of a table that a body of its list call is about. ``key``: that of the table's own filter."""
    asked = Asked(world, body)
    with_joins = getattr(asked, table, None)
    if with_joins is not None:
        return [row for row in world[table] if with_joins(row)]
    return [row for row in world[table] if key is None or asked.ok(key, table, row)]
