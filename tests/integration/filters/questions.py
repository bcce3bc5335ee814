"""Every list call and every filter of it, found by looking at the schemas, with values out of the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, get_args

from hypothesis import strategies as st
from pydantic import BaseModel

from sempre.schemas import lists
from sempre.schemas.base import FilterModel
from tests.integration.filters.oracle import IGNORED, Json, World
from tests.integration.filters.seed import Row


@dataclass(frozen=True)
class Listing:
    """One list call: its rows stand in ``table``, its own filter under ``key``."""

    path: str
    table: str
    key: str | None
    body: type[lists.ListCall]
    order: str | None = None  # what it is sorted by without a sort, as one
    counts: bool = False
    paginates: type[lists.ListCall] | None = None
    among: Callable[[Row], bool] = lambda row: True

    @property
    def filters(self) -> dict[str, type[FilterModel]]:
        """The models of its filters by their keys on the wire."""
        found = {}
        for name, field in self.body.model_fields.items():
            for model in _models(field.annotation):
                found[field.alias or name] = model
        return found

    @property
    def sorts(self) -> list[str]:
        field = self.body.model_fields.get("sort")
        return [] if field is None else [sort.value for sort in field.annotation]  # type: ignore[union-attr]


def _models(annotation: Any) -> list[type[FilterModel]]:
    parts = (annotation, *get_args(annotation))
    return [part for part in parts if isinstance(part, type) and issubclass(part, FilterModel)]


LISTINGS = [
    Listing("/flows", "flow", "flows", lists.FlowList, counts=True, paginates=lists.FlowPage),
    Listing("/flow_runs", "flow_run", "flow_runs", lists.FlowRunList, counts=True, paginates=lists.FlowRunPage),
    Listing("/task_runs", "task_run", "task_runs", lists.TaskRunList, counts=True, paginates=lists.TaskRunPage),
    Listing("/deployments", "deployment", "deployments", lists.DeploymentList, counts=True,
            paginates=lists.DeploymentPage),
    Listing("/artifacts", "artifact", "artifacts", lists.ArtifactList, counts=True),
    Listing("/artifacts/latest", "artifact_collection", "artifacts", lists.ArtifactCollectionList, counts=True),
    Listing("/variables", "variable", "variables", lists.VariableList, counts=True),
    Listing("/automations", "automation", "automations", lists.AutomationList, counts=True),
    Listing("/block_types", "block_type", "block_types", lists.BlockTypeList, "NAME_ASC"),
    Listing("/block_schemas", "block_schema", "block_schemas", lists.BlockSchemaList, "CREATED_DESC"),
    Listing("/block_documents", "block_document", "block_documents", lists.BlockDocumentList, counts=True),
    Listing("/logs", "log", "logs", lists.LogList),
    Listing("/work_pools", "work_pool", "work_pools", lists.WorkPoolList, "NAME_ASC", counts=True),
    Listing("/work_pools/pool-0/queues", "work_queue", "work_queues", lists.WorkQueueList, "PRIORITY_ASC",
            among=lambda row: row["priority"] > 2),
    Listing("/work_pools/pool-0/workers", "worker", "workers", lists.WorkerList, "LAST_HEARTBEAT_TIME_DESC"),
    Listing("/work_queues", "work_queue", "work_queues", lists.WorkQueueList, "NAME_ASC"),
    Listing("/saved_searches", "saved_search", None, lists.Slice, "NAME_ASC"),
    Listing("/v2/concurrency_limits", "concurrency_limit", None, lists.Slice, "NAME_ASC"),
    Listing("/concurrency_limits", "concurrency_limit", None, lists.Slice, "NAME_ASC",
            among=lambda row: row["name"].startswith("tag:")),
]  # fmt: skip
TABLES = {
    "flows": "flow", "flow_runs": "flow_run", "task_runs": "task_run", "deployments": "deployment",
    "work_pools": "work_pool", "work_pool_queues": "work_queue", "work_queues": "work_queue", "workers": "worker",
    "artifacts": "artifact", "variables": "variable", "automations": "automation", "block_types": "block_type",
    "block_schemas": "block_schema", "block_documents": "block_document", "logs": "log",
}  # fmt: skip
# Where values for a member come from that is not named after its column.
_SOURCES: dict[tuple[str, str], Callable[[World], list[Any]]] = {
    ("flow_run", "state.type"): lambda world: [run["state_type"] for run in world["flow_run"]],
    ("flow_run", "state.name"): lambda world: [run["state_name"] for run in world["flow_run"]],
    ("task_run", "state.type"): lambda world: [run["state_type"] for run in world["task_run"]],
    ("task_run", "state.name"): lambda world: [run["state_name"] for run in world["task_run"]],
    ("flow_run", "start_time"): lambda world: [
        run[name] for run in world["flow_run"] for name in ("start_time", "expected_start_time")
    ],
    ("flow_run", "parent_flow_run_id"): lambda world: [task["flow_run_id"] for task in world["task_run"][:12]],
    ("flow_run", "created_by"): lambda world: [],
    ("task_run", "subflow_runs"): lambda world: [],
    ("flow", "deployment"): lambda world: [],
    ("deployment", "concurrency_limit"): lambda world: [1, 5],
    ("deployment", "flow_or_deployment_name"): lambda world: [
        row["name"] for table in ("flow", "deployment") for row in world[table]
    ],
    ("block_schema", "block_capabilities"): lambda world: [row["capabilities"] for row in world["block_schema"]],
    ("log", "text"): lambda world: [],
}  # fmt: skip
_QUERIES = ("error", "", "  ", "ERROR debug", "-debug", "+api", '"time out"', "time -flow_runs", "error +task_runs !an",
            "50%", "all_well", "allXwell")  # fmt: skip


def _values(world: World, table: str, member: str) -> list[Any]:
    source = _SOURCES.get((table, member))
    found = source(world) if source else [row[member] for row in world[table]]
    flat = [item for value in found for item in (value if isinstance(value, list) else [value])]
    unique = {repr(value): value for value in flat if value is not None}
    return [unique[key] for key in sorted(unique)]


def _candidates(world: World, table: str, member: str, operator: str) -> list[Any]:
    """Values worth asking for. Raises KeyError for an operator that nobody has thought of."""
    values = _values(world, table, member)
    if operator in ("is_null_", "exists_", "eq_"):
        return [True, False]
    if operator in ("before_", "after_", "ge_", "le_"):
        chosen = [values[0], values[len(values) // 2], values[-1]]
        return [value if isinstance(value, int) else value.isoformat() for value in chosen]
    if operator == "query":
        return list(_QUERIES)
    if operator in ("id_", "type_"):
        ids = [run["created_by"] for run in world["flow_run"] if run["created_by"]]
        return [[], *[[creator[operator[:-1]]] for creator in ids[:2] if creator[operator[:-1]]]]
    if operator == "like_":
        return ["", values[0][1:].upper(), values[-1].replace("X", "_")[-3:], "_", "%a", "nothing_"]
    if operator == "startswith_":
        return [[], [values[0][:3].swapcase()], ["nope", values[-1]], ["%"]]
    return {
        "any_": [[], values[:1], values[1:3], values],
        "not_any_": [[], values[:1], values[1:3], values],
        "all_": [[], values[:1], values[:2], values],
    }[operator]


def _operators(member: type[BaseModel]) -> list[str]:
    return [name for name in member.model_fields if name != "operator"]


def members(model: type[FilterModel]) -> Iterator[tuple[str, type[FilterModel]]]:
    for name, field in model.model_fields.items():
        if name != "operator":
            (member,) = _models(field.annotation)
            yield name, member


def cases(world: World, table: str, model: type[FilterModel]) -> Iterator[Json]:
    """Filters that say one thing: every operator of every member, with every value; and members that say nothing."""
    yield {}
    for name, member in members(model):
        yield {name: None}
        if not any(field.is_required() for field in member.model_fields.values()):
            yield {name: {}}
            if "operator" in model.model_fields:
                yield {"operator": "or_", name: {}}
        for operator in _operators(member):
            inner = _models(member.model_fields[operator].annotation)
            if inner:
                for deeper in _operators(inner[0]):
                    for value in _candidates(world, table, f"{name}.{operator}", deeper):
                        yield {name: {operator: {deeper: value}}}
            else:
                if not member.model_fields[operator].is_required():
                    yield {name: {operator: None}}
                for value in _candidates(world, table, name, operator):
                    yield {name: {operator: value}}


def filters(world: World, table: str, model: type[FilterModel]) -> st.SearchStrategy[Json]:
    """Any filter of a model: members, operators within them, and how they are joined."""

    def asked(name: str, part: type[FilterModel]) -> st.SearchStrategy[Json]:
        choices = {}
        for operator in _operators(part):
            inner = _models(part.model_fields[operator].annotation)
            if inner:
                choices[operator] = asked(f"{name}.{operator}", inner[0])
            else:
                choices[operator] = st.sampled_from(_candidates(world, table, name, operator))
        needed = {name: choices.pop(name) for name in list(choices) if part.model_fields[name].is_required()}
        return st.fixed_dictionaries(needed, optional={**choices, **_joining(part)})

    parts = {name: asked(name, member) for name, member in members(model) if (table, name) not in IGNORED}
    some = st.sets(st.sampled_from(sorted(parts)), max_size=3)
    return some.flatmap(
        lambda names: st.fixed_dictionaries({name: parts[name] for name in sorted(names)}, optional=_joining(model))
    )


def _joining(part: type[BaseModel]) -> dict[str, st.SearchStrategy[Any]]:
    field = part.model_fields.get("operator")
    if field is None:
        return {}
    assert isinstance(field.annotation, type)
    assert issubclass(field.annotation, Enum)
    return {"operator": st.sampled_from([value.value for value in field.annotation])}
