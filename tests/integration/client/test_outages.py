"""The API away, answers lost, processes killed: nothing is lost, nothing happens twice, and order is kept.

The server wants credentials and CSRF tokens, so that everything here is also done with both.
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from sempre.client import ApiRefused, ObjectNotFound, SyncClient, Unauthorized, get_client, shipping
from sempre.client.errors import refuses_ids
from sempre.client.streams import EventStream
from sempre.settings import ClientSettings
from sempre.settings.client import ApiSettings, TransportSettings
from sempre.settings.players import LoggingSettings
from tests.integration.client.faults import LosesAnswers
from tests.support.database import Database
from tests.support.net import LOOPBACK
from tests.support.servers import SempreServer
from tests.support.wait import eventually

AUTH = "user:secret"


@pytest.fixture(scope="module")
def server(database: Database, workdir: Path) -> Iterator[SempreServer]:
    env = {"SEMPRE_SERVER_API_AUTH_STRING": AUTH, "SEMPRE_SERVER_API_CSRF_PROTECTION_ENABLED": "true"}
    solo = SempreServer(workdir, database=database, services=False, env=env)
    solo.start()
    yield solo
    solo.stop()


def of_port(port: int, home: Path) -> ClientSettings:
    return ClientSettings(
        home=home,
        api=ApiSettings(url=f"http://{LOOPBACK}:{port}/api", auth_string=AUTH),
        client=TransportSettings(patience_seconds=120.0),
        logging=LoggingSettings(to_api_batch_interval_seconds=0.05),
    )


@pytest.fixture
def settings(server: SempreServer, tmp_path: Path) -> ClientSettings:
    return of_port(server.port, tmp_path)


@pytest.fixture
def flaky(server: SempreServer, tmp_path: Path) -> Iterator[tuple[LosesAnswers, SyncClient]]:
    with LosesAnswers(server.port) as relay:
        yield relay, get_client(sync_client=True, settings=of_port(relay.port, tmp_path))


def a_run(client: SyncClient) -> UUID:
    return client.create_flow_run(client.create_flow_from_name(f"f-{uuid4()}"), state={"type": "PENDING"}).id


def an_event(resource: str, number: int) -> dict[str, Any]:
    return {
        "id": uuid4(), "occurred": datetime.now(UTC), "event": "test.numbered", "payload": {"number": number},
        "resource": {"prefect.resource.id": resource},
    }  # fmt: skip


def test_lost_answers_make_nothing_twice(flaky: tuple[LosesAnswers, SyncClient]) -> None:
    relay, client = flaky
    flow_id = client.create_flow_from_name(f"f-{uuid4()}")
    relay.lose = 2
    run = client.create_flow_run(flow_id, state={"type": "PENDING"})
    assert [each.id for each in client.read_flow_runs(flow_filter={"id": {"any_": [flow_id]}})] == [run.id]
    relay.lose = 2
    client.set_flow_run_state(run.id, {"type": "RUNNING"})
    relay.lose = 1
    client.set_flow_run_state(run.id, {"type": "COMPLETED"})
    assert [state.type for state in client.read_flow_run_states(run.id)] == ["PENDING", "RUNNING", "COMPLETED"]
    deployment_id = client.create_deployment(flow_id, "d")
    relay.lose = 1
    second = client.create_flow_run_from_deployment(deployment_id)
    runs = client.read_flow_runs(deployment_filter={"id": {"any_": [deployment_id]}})
    assert [each.id for each in runs] == [second.id]
    name = f"v_{uuid4().hex}"
    relay.lose = 1
    assert client.create_variable({"name": name, "value": 1}).value == 1
    relay.lose = 1
    client.delete_variable_by_name(name)
    assert relay.lost == 8
    with pytest.raises(ObjectNotFound):
        client.delete_variable_by_name(name)


def test_what_has_an_id_of_the_client_is_created_once(flaky: tuple[LosesAnswers, SyncClient]) -> None:
    relay, client = flaky
    run, key, name = a_run(client), f"k-{uuid4().hex}", f"a-{uuid4()}"
    relay.lose = 1
    artifact = client.create_artifact({"key": key, "data": 1})
    assert [each.id for each in client.read_artifacts(artifact_filter={"key": {"any_": [key]}})] == [artifact.id]
    relay.lose = 1
    trigger = {"type": "event", "posture": "Reactive", "expect": ["x"]}
    automation_id = client.create_automation({"name": name, "trigger": trigger, "actions": []})
    assert [each.id for each in client.read_automations_by_name(name)] == [automation_id]
    relay.lose = 2
    line = {"name": "l", "level": 20, "timestamp": datetime.now(UTC).isoformat(), "flow_run_id": str(run)}
    client.create_logs([{**line, "message": "one"}, {**line, "message": "two"}])
    relay.lose = 2
    shipper = shipping.current(client.settings)
    shipper.log({**line, "message": "shipped"})
    assert shipper.flush(60)
    found = client.read_logs({"flow_run_id": {"any_": [run]}})
    assert sorted(each.message for each in found) == ["one", "shipped", "two"]
    assert relay.lost == 6


def test_an_api_that_knows_no_ids_of_clients_is_recognised(server: SempreServer, settings: ClientSettings) -> None:
    client = get_client(sync_client=True, settings=settings)
    with pytest.raises(ApiRefused) as refused:
        client.create_variable({"id": str(uuid4()), "name": f"v_{uuid4().hex}", "value": 1})
    assert refuses_ids(refused.value)
    with pytest.raises(ApiRefused) as refused:
        client.create_variable({"name": f"v_{uuid4().hex}", "value": 1, "more": 2})
    assert not refuses_ids(refused.value)


def test_wrong_credentials_are_said_at_once(server: SempreServer, tmp_path: Path) -> None:
    wrong = ClientSettings(home=tmp_path, api=ApiSettings(url=server.api_url, auth_string="user:wrong"))
    with pytest.raises(Unauthorized):
        get_client(sync_client=True, settings=wrong).count_flows()
    stream = EventStream({}, settings=wrong)
    with pytest.raises(Unauthorized), stream:
        next(stream)


def test_a_killed_server_loses_nothing(server: SempreServer, settings: ClientSettings) -> None:
    client = get_client(sync_client=True, settings=settings)
    run, resource = a_run(client), f"test.numbers.{uuid4()}"
    shipper = shipping.current(settings)
    stream = EventStream({"resource": {"id": [resource]}}, settings=settings)
    with stream, concurrent.futures.ThreadPoolExecutor() as pool:
        for number in range(200):
            shipper.event(an_event(resource, number))
        heard = [stream.next(30) for _ in range(10)]
        assert all(heard)
        shipper.flow_run_state(run, {"type": "RUNNING"})
        assert shipper.flush(30)

        server.kill()
        for number in range(200, 400):
            shipper.event(an_event(resource, number))
            shipper.log({"name": "n", "level": 20, "message": f"{number:03d}", "timestamp": datetime.now(UTC),
                         "flow_run_id": run})  # fmt: skip
        shipper.flow_run_state(run, {"type": "RUNNING", "name": "Step one"})
        shipper.flow_run_state(run, {"type": "RUNNING", "name": "Step two"})
        asked = pool.submit(client.read_flow_run, run)
        eventually(lambda: list(settings.home.glob("journal/*/*/events.0*")), "events wait on disk")
        assert not shipper.flush(0.1)
        server.start()

        assert asked.result(60).id == run
        assert shipper.flush(60)
        assert not shipper.waiting
        while len(heard) < 400:
            heard.append(stream.next(30))
            assert heard[-1] is not None
        assert stream.next(1) is None
    assert sorted(event.payload["number"] for event in heard if event) == list(range(400))
    assert client.read_events({"resource": {"id": [resource]}}).total == 400
    states = [state.name for state in client.read_flow_run_states(run)]
    assert states == ["Pending", "Running", "Step one", "Step two"]
    lines = client.read_logs({"flow_run_id": {"any_": [run]}}, sort="TIMESTAMP_ASC", limit=200)
    assert [line.message for line in lines] == [f"{number:03d}" for number in range(200, 400)]


_SHIPS_AND_WAITS = """
import json, sys, time
from datetime import UTC, datetime
from pathlib import Path
from sempre.client import shipping
from sempre.settings import ClientSettings
from sempre.settings.client import ApiSettings
given = json.loads(sys.argv[1])
settings = ClientSettings(home=Path(given["home"]), api=ApiSettings(url=given["url"], auth_string=given["auth"]))
shipper = shipping.current(settings)
for event in given["events"]:
    shipper.event(event)
shipper.flow_run_state(given["run"], {"type": "COMPLETED"})
def on_disk(kind):
    return b"".join(path.read_bytes() for path in settings.home.glob(f"journal/*/*/{kind}.0*"))
while not on_disk("calls") or not all(event["id"].encode() in on_disk("events") for event in given["events"]):
    time.sleep(0.01)
print("waiting", flush=True)
time.sleep(3600)
"""


def test_what_a_killed_process_left_is_delivered_by_the_next(server: SempreServer, settings: ClientSettings) -> None:
    client = get_client(sync_client=True, settings=settings)
    run, resource = a_run(client), f"test.numbers.{uuid4()}"
    client.set_flow_run_state(run, {"type": "RUNNING"})
    events = [an_event(resource, number) for number in range(50)]
    given = {"home": str(settings.home), "url": settings.api.url, "auth": AUTH, "run": str(run), "events": events}
    server.kill()
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", _SHIPS_AND_WAITS, json.dumps(given, default=str)],
            stdout=subprocess.PIPE, text=True, env=os.environ,
        )  # fmt: skip
        assert process.stdout is not None
        with process.stdout:
            assert process.stdout.readline() == "waiting\n"
            os.kill(process.pid, signal.SIGKILL)
            process.wait(30)
    finally:
        server.start()
    shipping.current(settings)
    eventually(lambda: not list(settings.home.glob("journal/*/*")), "the journal is empty", timeout=60)
    assert client.read_flow_run(run).state_type == "COMPLETED"
    assert client.read_events({"resource": {"id": [resource]}}).total == 50


def test_a_forked_child_ships_for_itself(settings: ClientSettings) -> None:
    code = f"""
import os
from pathlib import Path
from sempre.client import backstage, get_client, shipping
from sempre.settings import ClientSettings
from sempre.settings.client import ApiSettings
api = ApiSettings(url={settings.api.url!r}, auth_string={AUTH!r})
settings = ClientSettings(home=Path({str(settings.home)!r}), api=api)
client = get_client(sync_client=True, settings=settings)
assert client.count_flows() >= 0
shipping.current(settings)
pid = os.fork()
assert client.count_flows() >= 0
assert shipping.current(settings).flush(10)
if not pid:
    backstage.close()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
print("fine")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=90, check=False)
    assert (done.stdout, done.stderr) == ("fine\n", "")
