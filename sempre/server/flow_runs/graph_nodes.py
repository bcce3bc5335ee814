"""From rows to the nodes of a graph: who feeds whom, and who encloses whom.

Ids are text here, as Postgres writes them: a graph of thousands of runs names them tens of thousands of times.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any
from uuid import UUID

__all__ = ["assemble", "inputs_of", "references"]

# The task input that names the runs inside which the task was called.
_ENCLOSING = "__parents__"
_LOWER_CASE = frozenset("0123456789abcdef-")

Row = Mapping[str, Any]


def inputs_of(task_inputs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[tuple[str, bool]]:
    """``(id of a run, whether it encloses the task)`` for every input that names one."""
    for name, inputs in task_inputs.items():
        for given in inputs:
            if given.get("id") is not None:
                yield _as_written(str(given["id"])), name == _ENCLOSING


def _as_written(id: str) -> str:
    """An id as Postgres writes it; clients may write it otherwise."""
    return id if len(id) == 36 and _LOWER_CASE.issuperset(id) else str(UUID(id))


def references(rows: Iterable[Row]) -> set[str]:
    """Every run named by an input."""
    return {id for row in rows for id, _ in inputs_of(row["task_inputs"])}


def assemble(
    rows: Sequence[Row], others: AbstractSet[str], artifacts: Iterable[Row]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """``(nodes in the order of the rows, artifacts of no node)``.

    ``others`` are nodes of the graph that are not among the rows: they may be parents all the same. Inputs that name
    anything else make no edge; a run that was named twice makes one.
    """
    nodes = {row["id"]: _node(row) for row in rows}
    for row in rows:
        for id, encloses in dict.fromkeys(inputs_of(row["task_inputs"])):
            if id == row["id"] or (id not in nodes and id not in others):
                continue
            nodes[row["id"]]["encapsulating" if encloses else "parents"].append({"id": id})
            if not encloses and id in nodes:
                nodes[id]["children"].append({"id": row["id"]})
    started = {row["id"]: position for position, row in enumerate(rows)}
    for node in nodes.values():
        node["parents"].sort(key=lambda edge: started.get(edge["id"], -1))
    return list(nodes.values()), _attach(nodes, artifacts)


def _node(row: Row) -> dict[str, Any]:
    return {
        "kind": row["kind"],
        "id": row["id"],
        "label": row["label"],
        "state_type": row["state_type"],
        "start_time": row["start_time"],
        "end_time": row["end_time"],
        "parents": [],
        "children": [],
        "encapsulating": [],
        "artifacts": [],
    }


def _attach(nodes: Mapping[str, dict[str, Any]], artifacts: Iterable[Row]) -> list[dict[str, Any]]:
    """Hang artifacts on the nodes of their task runs; returns those of the flow run itself."""
    loose = []
    for row in artifacts:
        artifact = {name: row[name] for name in ("id", "created", "key", "type", "is_latest", "data")}
        if row["task_run_id"] is None:
            loose.append(artifact)
        elif row["task_run_id"] in nodes:
            nodes[row["task_run_id"]]["artifacts"].append(artifact)
    return loose
