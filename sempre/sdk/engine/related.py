"""What events of runs are related to, from what is known without asking."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sempre.sdk.runs import FlowRun

__all__ = ["related_to", "related_to_flow_run", "surroundings_of", "with_tags"]

Related = list[dict[str, str]]


def related_to(**named: tuple[Any, str | None]) -> Related:
    """What an event is related to: `flow_run=(id, name)`. What has no id is left out."""
    return [
        {
            "prefect.resource.id": f"prefect.{role.replace('_', '-')}.{id}",
            "prefect.resource.role": role.replace("_", "-"),
            **({} if name is None else {"prefect.resource.name": name}),
        }
        for role, (id, name) in named.items()
        if id is not None
    ]


def related_to_flow_run(run: FlowRun, flow_name: str | None) -> Related:
    """The resources that events of its task runs are related to: the run, all it belongs to, and its tags."""
    return related_to(flow_run=(run.id, run.name)) + surroundings_of(run, flow_name)


def surroundings_of(run: FlowRun, flow_name: str | None) -> Related:
    """The resources that events of the run itself are related to: all it belongs to, and its tags."""
    related = related_to(
        flow=(run.flow_id, flow_name),
        deployment=(run.deployment_id, run.deployment_name),
        work_queue=(run.work_queue_id, run.work_queue_name),
        work_pool=(run.work_pool_id, run.work_pool_name),
    )
    return with_tags(related, sorted(run.tags))


def with_tags(related: Related, tags: Iterable[str]) -> Related:
    """The same and these tags, each once."""
    known = {each["prefect.resource.id"] for each in related}
    ids = [f"prefect.tag.{tag}" for tag in tags]
    new = [{"prefect.resource.id": id, "prefect.resource.role": "tag"} for id in ids if id not in known]
    return related + new
