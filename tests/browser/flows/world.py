"""Everything a page of the UI can show, made by the client itself: `world.py POOL`. Prints one line of ids."""

# mypy: disable-error-code="misc, no-untyped-def, untyped-decorator"

import asyncio
import json
import logging
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import (
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
)
from prefect.automations import Automation, EventTrigger
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, WorkPoolCreate
from prefect.events import emit_event
from prefect.events.actions import ChangeFlowRunState, RunDeployment
from prefect.schedules import Cron, Interval
from prefect.states import Paused, Pending, Running
from prefect.variables import Variable

ids: dict[str, Any] = {}


@task
def extract(page: int) -> int:
    return page


@task(retries=1, retry_delay_seconds=0, tags=["fragile"], persist_result=True)
def transform(value: int) -> int:
    if task_runs.setdefault(value, 0) == 0 and value == 2:
        task_runs[value] += 1
        raise ValueError("once is nothing")
    return value * 2


task_runs: dict[int, int] = {}


@task
def document(total: int) -> None:
    create_markdown_artifact("# Score\n\nplayed *allegro*", key="score", description="What was played")
    create_markdown_artifact("# Score\n\nplayed *presto*", key="score", description="Again")
    create_table_artifact([{"instrument": "violin", "count": 16}, {"instrument": "oboe", "count": 3}], key="seating")
    create_link_artifact("https://example.invalid/hall", key="hall", link_text="The hall")
    create_progress_artifact(progress=42.0, key="rehearsal")
    create_image_artifact("data:image/gif;base64,R0lGODlhAQABAAAAACw=", key="poster")


@flow(name="encore", log_prints=True)
def encore(times: int) -> int:
    print(f"encore number {times}")
    return int(extract(times))


@flow(name="symphony", flow_run_name="symphony-no-{number}", log_prints=True, persist_result=True)
def symphony(number: int, soloists: dict[str, str] | None = None) -> int:
    """A flow with tasks that depend on each other, a retry, artifacts and a subflow."""
    logger = get_run_logger()
    logger.info("the conductor raises the baton for number %s", number)
    logger.warning("a string is about to break")
    pages = extract.map([1, 2, 3])
    parts = transform.map(pages)
    total = sum(parts.result())
    document(total, wait_for=parts)
    encore(times=3)
    emit_event(
        "orchestra.applause", resource={"prefect.resource.id": "orchestra.hall.1", "seat": "17"}, payload={"n": 7}
    )
    return int(total)


@flow(name="cacophony", flow_run_name="cacophony-one")
def cacophony() -> None:
    get_run_logger().error("somebody dropped the cymbals")
    raise RuntimeError("out of tune")


@flow(name="fermata")
def fermata() -> None:
    """Paused before it is played: see `paused_run`."""


def schedules() -> None:
    """Deployments with schedules, parameters, tags, limits and job variables."""
    from_source: Any = flow.from_source(source=str(Path(__file__).parent), entrypoint="orchestra.py:orchestra")
    ids["deployment"] = from_source.deploy(
        name="evening",
        work_pool_name=sys.argv[1],
        parameters={"players": 4},
        schedules=[Cron("0 20 * * *", timezone="Europe/Vienna"), Interval(timedelta(hours=6), slug="rehearsal")],
        tags=["classical"],
        description="Plays **every** evening",
        version="opus-1",
        concurrency_limit=3,
        job_variables={"env": {"BATON": "ivory"}},
        print_next_steps=False,
    )
    from_source.deploy(name="matinee", work_pool_name=sys.argv[1], paused=True, print_next_steps=False)


async def settings_of_the_house() -> None:
    """What is made without running a flow."""
    async with get_client() as client:
        pool = await client.create_work_pool(WorkPoolCreate(name=sys.argv[1], type="process"))
        queue = await client.create_work_queue("strings", work_pool_name=sys.argv[1], priority=2, concurrency_limit=5)
        ids.update(pool=pool.name, queue=queue.name)
        await client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name="stage-door", limit=9))
        decaying = GlobalConcurrencyLimitCreate(name="applause-rate", limit=5, slot_decay_per_second=0.5)
        await client.create_global_concurrency_limit(decaying)
        ids["tag"] = await client.create_concurrency_limit(tag="fragile", concurrency_limit=7)
    await Variable.aset("tempo", "allegro", tags=["score"], overwrite=True)
    await Variable.aset("program", {"first": ["overture", 1], "second": None}, overwrite=True)
    ids["secret"] = await Secret(value="the spare key").save("stage-key", overwrite=True)


def automations() -> None:
    """One whose trigger is an event, one that runs a deployment."""
    claps = EventTrigger(
        expect={"orchestra.applause"}, match={"prefect.resource.id": "orchestra.hall.*"}, threshold=1000
    )
    deployment = ids["deployment"]
    again = Automation(
        name="da capo",
        description="Play it again",
        trigger=claps,
        actions=[RunDeployment(source="selected", deployment_id=deployment, parameters={"players": 8})],
    ).create()
    failed = EventTrigger(
        expect={"prefect.flow-run.Crashed"},
        match={"prefect.resource.id": "prefect.flow-run.*"},
        for_each={"prefect.resource.id"},
    )
    Automation(
        name="silence", trigger=failed, actions=[ChangeFlowRunState(state="CANCELLED", name="Silenced")], enabled=False
    ).create()
    ids["automation"] = again.id


async def paused_run() -> None:
    """A run that waits for a person, as one of another process would."""
    async with get_client() as client:
        run = await client.create_flow_run(fermata, name="fermata-one", tags=["waiting"])
        for state in (Pending(), Running(), Paused(timeout_seconds=3600)):
            await client.set_flow_run_state(run.id, state)


def main() -> None:
    logging.getLogger("prefect").setLevel(logging.INFO)
    asyncio.run(settings_of_the_house())
    schedules()
    automations()
    symphony(1, soloists={"violin": "Clara"})
    symphony(2)
    cacophony(return_state=True)
    asyncio.run(paused_run())
    print("@@" + json.dumps(ids, default=str))


if __name__ == "__main__":
    main()
