"""Deployments with everything they can carry, runs, inputs, events and the API client, as scripts use them."""

# mypy: disable-error-code="misc, no-any-return, no-untyped-def, untyped-decorator, attr-defined"

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from prefect import flow, get_run_logger, runtime, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterName,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.client.schemas.sorting import FlowRunSort
from prefect.concurrency.asyncio import concurrency as aconcurrency
from prefect.concurrency.asyncio import rate_limit as arate_limit
from prefect.concurrency.sync import concurrency
from prefect.events import DeploymentEventTrigger, emit_event
from prefect.events.clients import get_events_subscriber
from prefect.events.filters import EventFilter, EventNameFilter
from prefect.input import RunInput, receive_input, send_input
from prefect.schedules import Cron, Interval
from prefect.states import Scheduled
from prefect.variables import Variable
from report import scenario  # type: ignore[import-not-found, unused-ignore]

POOL = "documented-pool"


@flow(name="documented")
def documented(count: int = 1, label: str = "x") -> str:
    """Deployed below."""
    return label * count


def deploy(version: str) -> Any:
    return flow.from_source(source=".", entrypoint="documented.py:documented").deploy(
        name="full",
        work_pool_name=POOL,
        work_queue_name="documented-queue",
        build=False,
        push=False,
        print_next_steps=False,
        version=version,
        tags=["one", "two"],
        description="everything",
        parameters={"count": 2},
        job_variables={"env": {"A": "1"}},
        concurrency_limit=ConcurrencyLimitConfig(limit=3, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW),
        schedules=[
            Cron("0 6 * * *", timezone="Europe/Berlin", slug="daily", parameters={"count": 7}),
            Interval(timedelta(hours=2), slug="often", active=False),
        ],
        triggers=[
            DeploymentEventTrigger(
                name="documented-trigger",
                expect={"documented.wanted"},
                match={"prefect.resource.id": "documented.resource"},
                parameters={"label": "{{ event.resource.id }}"},
            )
        ],
        enforce_parameter_schema=True,
    )


def deployments() -> dict[str, Any]:
    first, second = deploy("1"), deploy("2")
    return {"ids": [str(first), str(second)]}


def hydrated() -> dict[str, Any]:
    """Parameters that the server fills in, and those it refuses."""
    Variable.set("documented_label", "from a variable", overwrite=True)
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("documented/full")
        parameters = {
            "label": {"__prefect_kind": "workspace_variable", "variable_name": "documented_label"},
            "count": {"__prefect_kind": "json", "value": "4"},
        }
        later = Scheduled(scheduled_time=datetime.now(UTC) + timedelta(hours=3))
        run = client.create_flow_run_from_deployment(deployment.id, parameters=parameters, state=later)
        try:
            client.create_flow_run_from_deployment(deployment.id, parameters={"count": "many"})
            refused = "nothing"
        except Exception as error:
            refused = f"{type(error).__name__}: {error}"
    return {"parameters": run.parameters, "refused": refused, "version": deployment.version}


class Question(RunInput):
    text: str


@flow(name="asking")
def asking() -> dict[str, Any]:
    run_id = runtime.flow_run.id
    for text in ("first", "second"):
        send_input(Question(text=text), flow_run_id=run_id)
    send_input({"plain": 1}, flow_run_id=run_id)
    typed = [item.text for item in receive_input(Question, timeout=2, poll_interval=0.2, key_prefix=None)]
    return {"typed": typed, "run_id": run_id}


def inputs() -> dict[str, Any]:
    return asking()


@task(task_run_name="named-{x}")
def inner(x: int) -> dict[str, Any]:
    get_run_logger().info("inside %s", x)
    return {"task": runtime.task_run.name, "parameters": runtime.task_run.parameters, "flow": runtime.flow_run.name}


@flow(name="contextual", flow_run_name="run-{x}")
def contextual(x: int) -> dict[str, Any]:
    fields = runtime.flow_run
    return {
        "inner": inner(x),
        "flow": [fields.name, fields.flow_name, fields.parameters, fields.tags, fields.run_count],
        "deployment": runtime.deployment.id,
    }


def context() -> dict[str, Any]:
    return contextual.with_options(name="contextual")(3)


async def events_round() -> dict[str, Any]:
    name = f"documented.event.{uuid4().hex[:8]}"
    wanted = EventFilter(event=EventNameFilter(name=[name]))
    got = []
    async with get_events_subscriber(filter=wanted) as subscriber:
        emit_event("documented.other", resource={"prefect.resource.id": "r.0"})
        sent = emit_event(
            name,
            resource={"prefect.resource.id": "r.1", "colour": "blue"},
            related=[{"prefect.resource.id": "r.2", "prefect.resource.role": "friend"}],
            payload={"n": 1},
        )
        async with asyncio.timeout(30):
            async for event in subscriber:
                got.append(event)
                break
    return {
        "same": [event.id for event in got] == [sent.id],
        "payload": got[0].payload,
        "related": [related.role for related in got[0].related],
    }


def events() -> dict[str, Any]:
    return asyncio.run(events_round())


def client_reads() -> dict[str, Any]:
    names = [f"documented-run-{number}" for number in range(5)]
    with get_client(sync_client=True) as client:
        ids = [client.create_flow_run(documented, name=name, tags=["documented-tag"]).id for name in names]
        tagged = FlowRunFilter(tags=FlowRunFilterTags(all_=["documented-tag"]))
        pages = [
            client.read_flow_runs(flow_run_filter=tagged, sort=FlowRunSort.NAME_DESC, limit=2, offset=offset)
            for offset in (0, 2, 4)
        ]
        by_name = client.read_flow_runs(flow_run_filter=FlowRunFilter(name=FlowRunFilterName(any_=names[:1])))
        flows = client.read_flows(flow_filter=FlowFilter(name=FlowFilterName(like_="document")))
        client.update_flow_run(ids[0], name="renamed", tags=["other"])
        renamed = client.read_flow_run(ids[0])
        result = client.set_flow_run_state(ids[1], Scheduled())
        states = client.read_flow_run_states(ids[1])
        client.delete_flow_run(ids[4])
        rest = client.read_flow_runs(flow_run_filter=tagged)
    return {
        "pages": [[run.name for run in page] for page in pages],
        "by_name": [run.name for run in by_name],
        "flows": sorted(flow.name for flow in flows),
        "renamed": [renamed.name, renamed.tags],
        "set": [result.status.value, states[-1].type.value],
        "rest": sorted(run.name for run in rest),
    }


async def limited_async() -> dict[str, Any]:
    held: list[int] = []

    async def one(number: int) -> None:
        async with aconcurrency("documented-limit", occupy=1):
            held.append(number)

    await asyncio.gather(*(one(number) for number in range(3)))
    await arate_limit("documented-rate", occupy=1)
    return {"held": sorted(held)}


def limits() -> dict[str, Any]:
    found = asyncio.run(limited_async())
    try:
        with concurrency("documented-missing", strict=True):
            strict = "entered"
    except Exception as error:
        strict = type(error).__name__
    with concurrency("documented-missing"):
        lenient = "entered"
    return {**found, "strict": strict, "lenient": lenient}


if __name__ == "__main__":
    # All of them, or those named.
    wanted = sys.argv[1:]
    for body in (deployments, hydrated, inputs, context, events, client_reads, limits):
        if not wanted or body.__name__ in wanted:
            scenario(body.__name__, body)
