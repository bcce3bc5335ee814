"""What events of runs are related to, from what is known without asking."""

from __future__ import annotations

from collections.abc import Iterable

from sempre.sdk.runs import FlowRun

__all__ = ["related_to_flow_run", "with_tags"]

Related = list[dict[str, str]]


def related_to_flow_run(run: FlowRun, flow_name: str | None) -> Related:
    """The resources that events of its task runs are related to: the run, all it belongs to, and its tags."""
    known = [
        ("flow-run", run.id, run.name),
        ("flow", run.flow_id, flow_name),
        ("deployment", run.deployment_id, None),
        ("work-queue", run.work_queue_id, run.work_queue_name),
        ("work-pool", run.work_pool_id, run.work_pool_name),
    ]
    related = []
    for kind, id, name in known:
        if id is not None:
            resource = {"prefect.resource.id": f"prefect.{kind}.{id}", "prefect.resource.role": kind}
            related.append(resource if name is None else {**resource, "prefect.resource.name": name})
    return with_tags(related, sorted(run.tags))


def with_tags(related: Related, tags: Iterable[str]) -> Related:
    """The same and these tags, each once."""
    known = {each["prefect.resource.id"] for each in related}
    ids = [f"prefect.tag.{tag}" for tag in tags]
    new = [{"prefect.resource.id": id, "prefect.resource.role": "tag"} for id in ids if id not in known]
    return related + new
