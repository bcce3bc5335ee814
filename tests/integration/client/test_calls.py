"""Every resource's calls against a real server."""

from __future__ import annotations

import asyncio
import inspect
import threading
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from sempre.client import (
    ApiRefused,
    Client,
    NotAllowed,
    ObjectAlreadyExists,
    ObjectNotFound,
    SyncClient,
)
from sempre.schemas.artifacts import ArtifactCreate
from sempre.schemas.concurrency import ConcurrencyLimitV2Create
from sempre.schemas.filters.flow_runs import FlowRunFilter, FlowRunFilterId
from sempre.schemas.states import StateCreate, StateType
from sempre.schemas.variables import VariableCreate
from sempre.schemas.work_pools import WorkPoolCreate

RUNNING = StateCreate(type=StateType.RUNNING)
COMPLETED = {"type": "COMPLETED", "message": "all done"}


def a_name() -> str:
    return f"n-{uuid4().hex[:12]}"


async def test_a_flow_run_from_its_creation_to_its_end(client: Client) -> None:
    flow_id = await client.create_flow_from_name(a_name(), tags=["b", "a"])
    assert (await client.read_flow(flow_id)).tags == ["a", "b"]
    run = await client.create_flow_run(
        flow_id, parameters={"n": 1, "when": timedelta(seconds=5)}, tags={"t"}, state={"type": "PENDING"}
    )
    assert (run.parameters, run.tags, run.idempotency_key is not None) == ({"n": 1, "when": 5.0}, ["t"], True)
    await client.update_flow_run(run.id, name="renamed", infrastructure_pid="12")
    await client.update_flow_run_labels(run.id, {"team": "data", "n": 3})
    assert (await client.set_flow_run_state(run.id, {"type": "PENDING"})).status == "ABORT"
    assert (await client.set_flow_run_state(run.id, RUNNING)).status == "ACCEPT"
    assert (await client.set_flow_run_state(run.id, COMPLETED)).status == "ACCEPT"
    found = await client.read_flow_run(run.id)
    assert (found.name, found.infrastructure_pid, found.labels["team"]) == ("renamed", "12", "data")
    assert [state.type for state in await client.read_flow_run_states(run.id)] == ["PENDING", "RUNNING", "COMPLETED"]
    by_schema = await client.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run.id])))
    by_mapping = await client.read_flow_runs(flow_filter={"id": {"any_": [flow_id]}}, limit=5)
    assert [each.id for each in by_schema] == [each.id for each in by_mapping] == [run.id]
    assert await client.count_flow_runs(flow_filter={"id": {"any_": [flow_id]}}) == 1
    assert (await client.paginate_flow_runs(flow_filter={"id": {"any_": [flow_id]}})).count == 1
    assert (await client.read_flow_run_graph(run.id))["nodes"] == []
    await client.delete_flow_run(run.id)
    with pytest.raises(ObjectNotFound):
        await client.read_flow_run(run.id)
    with pytest.raises(ObjectNotFound):
        await client.delete_flow_run(run.id)


async def test_inputs_and_resuming(client: Client) -> None:
    run = await client.create_flow_run(await client.create_flow_from_name(a_name()), state={"type": "PENDING"})
    await client.set_flow_run_state(run.id, RUNNING)
    until = datetime.now(UTC) + timedelta(minutes=5)
    paused = {"type": "PAUSED", "state_details": {"pause_timeout": until, "pause_key": "k"}}
    assert (await client.set_flow_run_state(run.id, paused)).status == "ACCEPT"
    await client.create_flow_run_input(run.id, "key-1", '{"a": 1}')
    await client.create_flow_run_input(run.id, "key-2", '"text"', sender="me")
    assert await client.read_flow_run_input(run.id, "key-1") == '{"a": 1}'
    found = await client.filter_flow_run_input(run.id, "key", limit=5, exclude_keys={"key-1"})
    assert [(each.key, each.sender) for each in found] == [("key-2", "me")]
    with pytest.raises(ObjectAlreadyExists):
        await client.create_flow_run_input(run.id, "key-1", "1")
    await client.delete_flow_run_input(run.id, "key-1")
    assert (await client.resume_flow_run(run.id)).status == "ACCEPT"


async def test_task_runs(client: Client) -> None:
    run = await client.create_flow_run(await client.create_flow_from_name(a_name()), state={"type": "PENDING"})
    await client.set_flow_run_state(run.id, RUNNING)
    task_run = await client.create_task_run("t", run.id, "0", state={"type": "PENDING"}, extra_tags=["x"])
    assert (await client.create_task_run("t", run.id, "0")).id == task_run.id
    assert (await client.set_task_run_state(task_run.id, RUNNING)).status == "ACCEPT"
    await client.set_task_run_name(task_run.id, "mine")
    assert (await client.read_task_run(task_run.id)).name == "mine"
    assert [each.id for each in await client.read_task_runs(flow_run_filter={"id": {"any_": [run.id]}})] == [
        task_run.id
    ]
    assert len(await client.read_task_run_states(task_run.id)) == 2


async def test_deployments_pools_and_queues(client: Client) -> None:
    pool, flow = a_name(), a_name()
    await client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
    with pytest.raises(ObjectAlreadyExists):
        await client.create_work_pool({"name": pool, "type": "process"})
    overwritten = await client.create_work_pool(
        WorkPoolCreate(name=pool, type="process", description="d"), overwrite=True
    )
    assert overwritten.description == "d"
    flow_id = await client.create_flow_from_name(flow)
    deployment_id = await client.create_deployment(
        flow_id, "dep", work_pool_name=pool, parameters={"a": 1}, entrypoint="x.py:f", tags=None
    )
    deployment = await client.read_deployment_by_name(f"{flow}/dep")
    assert (deployment.id, deployment.parameters) == (deployment_id, {"a": 1})
    with pytest.raises(ValueError, match="flow/deployment"):
        await client.read_deployment_by_name("dep")
    key = a_name()
    runs = [await client.create_flow_run_from_deployment(deployment_id, idempotency_key=key) for _ in range(2)]
    assert runs[0].id == runs[1].id
    due = await client.get_scheduled_flow_runs_for_work_pool(pool, scheduled_before=datetime.now(UTC))
    assert [each.flow_run.id for each in due] == [runs[0].id]
    (schedule,) = await client.create_deployment_schedules(deployment_id, [({"cron": "0 0 1 1 *"}, False)])
    await client.update_deployment_schedule(deployment_id, schedule.id, active=True)
    assert [each.active for each in await client.read_deployment_schedules(deployment_id)] == [True]
    await client.delete_deployment_schedule(deployment_id, schedule.id)
    await client.pause_deployment(deployment_id)
    await client.update_deployment(deployment_id, description="changed")
    found = await client.read_deployments(deployment_filter={"id": {"any_": [deployment_id]}})
    assert [(each.paused, each.description) for each in found] == [(True, "changed")]
    await client.resume_deployment(deployment_id)
    queue = await client.create_work_queue(a_name(), pool, priority=3)
    assert (await client.read_work_queue_by_name(queue.name, pool)).id == queue.id
    await client.update_work_queue(queue.id, is_paused=True)
    assert (await client.read_work_queue(queue.id)).is_paused
    assert [each.name for each in await client.match_work_queues([queue.name[:5]], pool)] == [queue.name]
    await client.send_worker_heartbeat(pool, "w1", 30)
    assert [worker.name for worker in await client.read_workers_for_work_pool(pool)] == ["w1"]
    await client.delete_work_queue_by_id(queue.id)
    await client.delete_deployment(deployment_id)
    await client.delete_work_pool(pool)


async def test_variables_artifacts_and_logs(client: Client) -> None:
    name = a_name().replace("-", "_")
    await client.create_variable(VariableCreate(name=name, value={"a": [1]}))
    await client.update_variable({"name": name, "value": 2})
    found = await client.read_variable_by_name(name)
    assert found is not None
    assert (found.value, await client.read_variable_by_name("no_such")) == (2, None)
    assert name in [each.name for each in await client.read_variables()]
    await client.delete_variable_by_name(name)

    run = await client.create_flow_run(await client.create_flow_from_name(a_name()), state={"type": "PENDING"})
    key = a_name()
    for data in ("one", "two"):
        artifact = await client.create_artifact(ArtifactCreate(key=key, type="markdown", data=data, flow_run_id=run.id))
    await client.update_artifact(artifact.id, {"description": "newest"})
    latest = await client.read_latest_artifact(key)
    assert latest is not None
    assert (latest.data, latest.description, await client.read_latest_artifact("none")) == ("two", "newest", None)
    assert len(await client.read_artifacts(artifact_filter={"key": {"any_": [key]}})) == 2
    assert len(await client.read_latest_artifacts(flow_run_filter={"id": {"any_": [run.id]}})) == 1
    await client.delete_artifact(artifact.id)

    now = datetime.now(UTC)
    await client.create_logs(
        [{"name": "n", "level": 20, "message": str(n), "timestamp": now, "flow_run_id": run.id} for n in range(3)]
    )
    assert {line.message for line in await client.read_logs({"flow_run_id": {"any_": [run.id]}})} == {"0", "1", "2"}


async def test_blocks(client: Client) -> None:
    slug = a_name()
    kind = await client.create_block_type({"name": slug, "slug": slug})
    assert (await client.read_block_type_by_slug(slug)).id == kind.id
    schema = await client.create_block_schema({"block_type_id": kind.id, "fields": {"title": "T", "type": "object"}})
    assert (await client.read_block_schema_by_checksum(schema.checksum)).id == schema.id
    assert await client.get_most_recent_block_schema_for_block_type(kind.id) is not None
    document = await client.create_block_document(
        {"name": "doc", "data": {"x": 1}, "block_schema_id": schema.id, "block_type_id": kind.id}
    )
    await client.update_block_document(document.id, {"data": {"y": 2}})
    found = await client.read_block_document_by_name("doc", slug)
    assert (found.id, found.data) == (document.id, {"x": 1, "y": 2})
    assert [each.id for each in await client.read_block_documents_by_type(slug)] == [document.id]
    with pytest.raises(NotAllowed):
        await client.delete_block_type((await client.read_block_type_by_slug("secret")).id)
    await client.delete_block_document(document.id)
    await client.delete_block_type(kind.id)


async def test_concurrency(client: Client) -> None:
    name = a_name()
    await client.create_global_concurrency_limit(ConcurrencyLimitV2Create(name=name, limit=1))
    lease = await client.increment_concurrency_slots_with_lease([name], 1, lease_duration=60)
    with pytest.raises(ApiRefused) as busy:
        await client.increment_concurrency_slots_with_lease([name], 1)
    assert busy.value.status_code == 423
    assert busy.value.retry_after is not None
    await client.renew_concurrency_lease(lease.lease_id, 60)
    await client.release_concurrency_slots_with_lease(lease.lease_id)
    assert (await client.read_global_concurrency_limit_by_name(name)).active_slots == 0
    await client.upsert_global_concurrency_limit_by_name(name, 7)
    assert [each.limit for each in await client.read_global_concurrency_limits() if each.name == name] == [7]
    assert [each.name for each in await client.increment_concurrency_slots([name], 2)] == [name]
    await client.release_concurrency_slots([name], 2, 0.5)
    await client.delete_global_concurrency_limit_by_name(name)
    assert (await client.increment_concurrency_slots_with_lease([name], 1)).limits == []

    tag = a_name()
    await client.create_concurrency_limit(tag, 2)
    await client.reset_concurrency_limit_by_tag(tag)
    assert (await client.read_concurrency_limit_by_tag(tag)).concurrency_limit == 2
    await client.delete_concurrency_limit_by_tag(tag)


async def test_automations_events_and_the_server(client: Client) -> None:
    name, resource = a_name(), f"test.thing.{uuid4()}"
    automation = {
        "name": name,
        "trigger": {"type": "event", "posture": "Reactive", "expect": ["never"], "threshold": 1, "within": 0},
        "actions": [{"type": "do-nothing"}],
    }
    id = await client.create_automation(automation)
    await client.pause_automation(id)
    found = await client.find_automation(name)
    assert found is not None
    assert (found.id, found.enabled) == (id, False)
    await client.resume_automation(id)
    await client.update_automation(id, {**automation, "description": "d"})
    await client.delete_resource_owned_automations("prefect.deployment.none")
    await client.delete_automation(id)
    assert await client.find_automation(id) is None

    events = [
        {"id": uuid4(), "occurred": datetime.now(UTC), "event": "test.happened",
         "resource": {"prefect.resource.id": resource}} for _ in range(3)
    ]  # fmt: skip
    await client.create_events(events)
    first = await client.read_events({"resource": {"id": [resource]}}, limit=2)
    assert (len(first.events), first.total) == (2, 3)
    assert first.next_page is not None
    assert len((await client.read_events_page(first.next_page)).events) == 1
    assert [each.count for each in await client.count_events({"resource": {"id": [resource]}})] == [3]

    saved = await client.create_saved_search({"name": a_name()})
    assert saved.id in [each.id for each in await client.read_saved_searches()]
    await client.delete_saved_search(saved.id)
    assert await client.api_healthcheck() is None
    assert (await client.api_version()).startswith("3.")
    assert (await client.read_default_result_storage()).default_result_storage_block_id is None
    assert "prefect" in await client.read_worker_metadata()
    assert await client.request("get", "/hello") is not None
    assert await client.read_server_settings()


def test_for_those_who_wait(sync_client: SyncClient) -> None:
    flow_id = sync_client.create_flow_from_name(a_name())
    names: list[str] = []
    threads = [threading.Thread(target=lambda: names.append(sync_client.read_flow(flow_id).name)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(names) == 4

    async def inside_a_loop() -> str:
        return sync_client.read_flow(flow_id).name

    assert asyncio.run(inside_a_loop()) == names[0]
    with pytest.raises(ObjectNotFound), sync_client as entered:
        entered.read_flow(uuid4())


def test_both_faces_have_the_same_calls() -> None:
    def calls(kind: type) -> dict[str, list[str]]:
        found = inspect.getmembers(kind, inspect.isfunction)
        return {name: list(inspect.signature(each).parameters) for name, each in found if not name.startswith("_")}

    assert calls(Client) == calls(SyncClient)
    assert len(calls(Client)) > 120
