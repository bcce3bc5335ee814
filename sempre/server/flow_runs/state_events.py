"""The event of a flow-run transition: built from what the decision was made on, committed with what it caused."""

from collections.abc import Mapping
from datetime import UTC, timedelta
from typing import Any

from sempre.core.states import State, StateType

__all__ = ["event_parameters"]

_CLOSE = timedelta(minutes=5)
_MAX_MESSAGE = 100_000


def event_parameters(
    surroundings: Mapping[str, Any], *, old: State | None, new: State, intended: StateType, run_count: int
) -> dict[str, Any]:
    """Parameters of ``EVENT_OF_RUN``.

    ``surroundings`` is a row of the load statement, or a mapping with the same names: the run's own ``id``, ``name``,
    ``tags``, ``created_by`` and the columns of ``SURROUNDINGS``.
    """
    resource_id = f"prefect.flow-run.{surroundings['id']}"
    related = _related(surroundings)
    follows = old.id if old is not None and abs(new.timestamp - old.timestamp) < _CLOSE else None
    return {
        "event": f"prefect.flow-run.{new.name}",
        "event_resource_id": resource_id,
        "event_resource": {
            "prefect.resource.id": resource_id,
            "prefect.resource.name": surroundings["name"],
            "prefect.run-count": str(run_count),
            "prefect.state-message": _shortened(new.message or ""),
            "prefect.state-name": new.name,
            "prefect.state-type": new.type.value,
            "prefect.state-timestamp": new.timestamp.astimezone(UTC).isoformat(),
        },
        "event_related": related,
        "event_resource_ids": [resource_id, *(r["prefect.resource.id"] for r in related)],
        "event_payload": {
            "intended": {"from": old.type.value if old else None, "to": intended.value},
            "initial_state": _state_payload(old),
            "validated_state": _state_payload(new),
        },
        "event_follows": follows,
    }


def _related(row: Mapping[str, Any]) -> list[dict[str, str]]:
    related: list[dict[str, str]] = []

    def add(kind: str, id: Any, role: str, name: str | None, **labels: str) -> None:
        if id is not None and name is not None:
            related.append(
                {
                    "prefect.resource.id": f"prefect.{kind}.{id}",
                    "prefect.resource.role": role,
                    "prefect.resource.name": name,
                    **labels,
                }
            )

    add("flow", row["flow_id"], "flow", row["flow_name"])
    add("deployment", row["found_deployment_id"], "deployment", row["deployment_name"])
    add("work-queue", row["work_queue_id"], "work-queue", row["queue_name"])
    pool_labels = {"prefect.work-pool.type": row["work_pool_type"]} if row["work_pool_type"] else {}
    add("work-pool", row["work_pool_id"], "work-pool", row["work_pool_name"], **pool_labels)
    add("task-run", row["parent_task_run_id"], "task-run", row["parent_task_run_name"])
    tags = {
        tag for source in ("tags", "flow_tags", "deployment_tags", "parent_task_run_tags") for tag in row[source] or ()
    }
    related.extend(
        {"prefect.resource.id": f"prefect.tag.{tag}", "prefect.resource.role": "tag"} for tag in sorted(tags)
    )
    creator = row["created_by"]
    if creator and creator.get("type") in ("DEPLOYMENT", "AUTOMATION"):
        add(creator["type"].lower(), creator.get("id"), "creator", creator.get("display_value") or "")
    return related


def _state_payload(state: State | None) -> dict[str, Any] | None:
    if state is None:
        return None
    payload: dict[str, Any] = {"type": state.type.value, "name": state.name}
    if state.message:
        payload["message"] = _shortened(state.message)
    if state.type is StateType.PAUSED:
        payload["pause_reschedule"] = "true" if state.details.pause_reschedule else "false"
    return payload


def _shortened(message: str) -> str:
    """Messages are unbounded, events are not: keep both ends of a long one."""
    if len(message) <= _MAX_MESSAGE:
        return message
    half = _MAX_MESSAGE // 2
    return f"{message[:half]}...{len(message) - _MAX_MESSAGE} additional characters...{message[-half:]}"
