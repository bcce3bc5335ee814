"""Live streams, background task runs and the worker channel, across connections that end in every way."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from sempre.client import ApiRefused, Client, backstage, get_client, shipping
from sempre.client.scheduled_tasks import ScheduledTaskRuns
from sempre.client.streams import EventStream, LogStream
from sempre.client.worker_channel import Cleanup, Hello, WorkerChannel
from sempre.schemas.logs import Log
from sempre.schemas.work_pools import WorkPoolResponse
from sempre.settings import ClientSettings
from sempre.settings.client import ApiSettings
from tests.support.database import Database
from tests.support.net import LOOPBACK
from tests.support.relay import Relay
from tests.support.scopes import until
from tests.support.servers import SempreServer
from tests.support.wait import eventually

TEMPLATE = {
    "job_configuration": {"command": "{{ command }}"},
    "variables": {"type": "object", "properties": {"command": {"type": "string"}}},
}


@pytest.fixture(scope="module")
def server(database: Database, workdir: Path) -> Iterator[SempreServer]:
    env = {
        "SEMPRE_SERVER_LOGS_STREAM_OUT_ENABLED": "true",
        "SEMPRE_SERVER_LOGS_STREAM_PUBLISHING_ENABLED": "true",
    }
    solo = SempreServer(workdir, database=database, services=False, env=env)
    solo.start()
    yield solo
    solo.stop()


@pytest.fixture
def relay(server: SempreServer) -> Iterator[Relay]:
    relay = Relay(server.port).start()
    yield relay
    backstage.close(5)
    relay.stop()


@pytest.fixture
def settings(relay: Relay, tmp_path: Path) -> ClientSettings:
    return ClientSettings(home=tmp_path, api=ApiSettings(url=f"http://{LOOPBACK}:{relay.port}/api"))


@pytest.fixture
def client(settings: ClientSettings) -> Client:
    return get_client(settings=settings)


async def test_events_across_resets_and_outages(relay: Relay, settings: ClientSettings) -> None:
    resource = f"test.thing.{uuid4()}"
    shipper = shipping.current(settings)

    def emit(number: int) -> None:
        shipper.event(
            {"id": uuid4(), "occurred": datetime.now(UTC), "event": "test.happened", "payload": {"n": number},
             "resource": {"prefect.resource.id": resource}}
        )  # fmt: skip

    async with EventStream({"resource": {"id": [resource]}}, settings=settings) as stream:
        for number in range(30):
            if number % 10 == 5:
                relay.reset()
            if number == 20:
                relay.cut()
            if number == 25:
                relay.mend()
            emit(number)
        heard = []
        async with asyncio.timeout(60):
            async for event in stream:
                heard.append(event.payload["n"])
                if len(heard) == 30:
                    break
        assert sorted(heard) == list(range(30))
        assert await stream.anext(0.5) is None
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


def test_a_stream_that_is_read_backstage_ends_with_it(settings: ClientSettings) -> None:
    connected = threading.Event()

    async def listen() -> None:
        async with EventStream({"resource": {"id": ["test.nobody"]}}, settings=settings) as stream:
            connected.set()
            async for _ in stream:
                pass

    listening = backstage.spawn(listen())
    assert connected.wait(60)
    backstage.close(5)
    with pytest.raises(CancelledError):
        listening.result(5)


async def test_the_past_and_a_bad_filter(client: Client, settings: ClientSettings) -> None:
    resource, now = f"test.thing.{uuid4()}", datetime.now(UTC)
    await client.create_events(
        [{"id": uuid4(), "occurred": now - timedelta(seconds=age), "event": "test.old",
          "resource": {"prefect.resource.id": resource}} for age in (400, 10)]
    )  # fmt: skip
    wanted = {"resource": {"id": [resource]}}
    async with EventStream(wanted, settings=settings) as recent:
        assert await recent.anext(20) is not None
    async with EventStream(wanted, since=now - timedelta(seconds=500), settings=settings) as older:
        found = [await older.anext(20), await older.anext(20)]
        assert [event.occurred < now - timedelta(seconds=300) for event in found if event] == [True, False]
    with pytest.raises(ApiRefused, match="Invalid filter"):
        async with EventStream({"no_such": 1}, settings=settings) as refused:
            await anext(refused)


async def test_log_lines_as_they_are_written(client: Client, relay: Relay, settings: ClientSettings) -> None:
    run = await client.create_flow_run(await client.create_flow_from_name(f"f-{uuid4()}"), state={"type": "PENDING"})

    async def write(message: str) -> None:
        line = {"name": "n", "level": 20, "message": message, "timestamp": datetime.now(UTC), "flow_run_id": run.id}
        await client.create_logs([line])

    async with LogStream({"flow_run_id": {"any_": [run.id]}}, settings=settings) as stream:

        async def heard() -> Log | None:  # the subscription is not confirmed by the server
            await write("one")
            return await stream.anext(0.5)

        line = await until(heard, "a line is heard")
        assert line.message == "one"


async def test_background_task_runs_one_by_one(client: Client, relay: Relay, settings: ClientSettings) -> None:
    key = f"task-{uuid4()}"

    async def submit() -> UUID:
        scheduled = {"type": "SCHEDULED", "state_details": {"deferred": True}}
        return (await client.create_task_run(key, None, str(uuid4()), state=scheduled)).id

    submitted = [await submit() for _ in range(3)]
    async with ScheduledTaskRuns([key], client_id="me", settings=settings) as runs, asyncio.timeout(60):
        received = [(await runs.next()).id]
        relay.reset()
        while set(received) != set(submitted):  # the first comes again if the reset took its acknowledgement along
            received.append((await runs.next()).id)
        assert sorted(received) in (sorted(submitted), sorted([received[0], *submitted]))
        waiting = asyncio.create_task(runs.next())
        last = await submit()
        assert (await waiting).id == last
        assert runs.unclaimed == []


async def test_the_worker_channel(client: Client, relay: Relay, settings: ClientSettings) -> None:
    pool, work = f"pool-{uuid4()}", threading.Event()
    pools: list[WorkPoolResponse] = []
    hello = Hello(
        work_pool_name=pool, worker_name="w", worker_type="process", heartbeat_seconds=1.0,
        create_pool_if_not_found=True, default_base_job_template=TEMPLATE,
    )  # fmt: skip
    channel = WorkerChannel(hello=hello, on_pool=pools.append, on_work=work.set, settings=settings)
    running = backstage.spawn(channel.run())
    try:
        await asyncio.to_thread(eventually, lambda: channel.healthy and pools, "the channel is open")
        assert channel.pushes_work
        assert channel.worker_id is not None
        work.clear()
        await client.update_work_pool(pool, description="changed")
        await asyncio.to_thread(eventually, lambda: pools[-1].description == "changed", "the change is seen")
        flow_id = await client.create_flow_from_name(f"f-{uuid4()}")
        deployment_id = await client.create_deployment(flow_id, "d", work_pool_name=pool)
        await client.create_flow_run_from_deployment(deployment_id)
        assert await asyncio.to_thread(work.wait, 30)
        assert [each.status for each in await client.read_workers_for_work_pool(pool)] == ["ONLINE"]
        seen = len(pools)
        relay.reset()
        await asyncio.to_thread(eventually, lambda: len(pools) > seen and channel.healthy, "it is open again")
    finally:
        running.cancel()


def test_a_pool_that_is_not_there_disables_the_channel(settings: ClientSettings) -> None:
    async def clean(message: Cleanup) -> bool:
        return True

    hello = Hello(work_pool_name=f"none-{uuid4()}", worker_name="w", worker_type="process", cleanup_kinds=["x"])
    channel = WorkerChannel(hello=hello, on_pool=lambda pool: None, on_cleanup=clean, settings=settings)
    backstage.run(channel.run(), timeout=30)
    assert (channel.disabled, channel.healthy) == (True, False)
