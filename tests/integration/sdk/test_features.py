"""What runs can do beside running, each against a real server."""

from __future__ import annotations

import signal
from functools import partial
from typing import Any

from tests.integration.sdk.conftest import Scripts
from tests.support.wait import eventually

PAUSING = """
from sempre import flow, pause_flow_run
from sempre.input import RunInput


class Who(RunInput):
    name: str = "anon"
    age: int = 3


@flow
def pausing():
    who = pause_flow_run(wait_for_input=Who.with_initial_data(description="who are you", name="you"), timeout=60)
    pause_flow_run(key="second", timeout=60)
    return f"{who.name} {who.age}"


print("VALUE", pausing())
"""


def test_a_pause_waits_for_typed_input(scripts: Scripts) -> None:
    process = scripts.start(scripts.write("pausing", PAUSING))

    def paused(times: int) -> dict[str, Any] | None:
        runs = scripts.flow_runs("pausing")
        history = [s["name"] for s in scripts.get(f"/flow_run_states/?flow_run_id={runs[0]['id']}")] if runs else []
        return runs[0] if history.count("Paused") == times and history[-1] == "Paused" else None

    run = eventually(lambda: paused(1), "the run pauses")
    id = run["id"]
    schema = scripts.get(f"/flow_runs/{id}/input/paused-1-schema")
    assert schema["properties"]["name"]["default"] == "you"
    assert scripts.get(f"/flow_runs/{id}/input/paused-1-description") == "who are you"
    scripts.post(f"/flow_runs/{id}/resume", {"run_input": {"name": "Grace", "age": 40}})
    eventually(lambda: paused(2), "the run pauses again")
    scripts.post(f"/flow_runs/{id}/resume", {})
    output, _ = process.communicate(timeout=30)
    assert "VALUE Grace 40" in output
    assert scripts.flow_history("pausing") == [
        "Pending", "Running", "Paused", "Running", "Paused", "Running", "Completed",
    ]  # fmt: skip


WAITING = """
import asyncio
import sys
import time

from sempre import flow


def cancelled(flow, run, state):
    print("HOOK", state.name, flush=True)


@flow(on_cancellation=[cancelled])
def waiting():
    print("STARTED", flush=True)
    time.sleep(60)


@flow(on_cancellation=[cancelled])
async def awaiting():
    print("STARTED", flush=True)
    await asyncio.sleep(60)


@flow(name="outer")
def outer():
    waiting()


if __name__ == "__main__":
    which = sys.argv[1]
    state = asyncio.run(awaiting(return_state=True)) if which == "awaiting" else globals()[which](return_state=True)
    print("STATE", state.name, flush=True)
"""


def running(scripts: Scripts, flow: str) -> dict[str, Any] | None:
    return next((run for run in scripts.flow_runs(flow) if run["state_type"] == "RUNNING"), None)


def test_cancelling_reaches_code_that_waits(scripts: Scripts) -> None:
    path = scripts.write("waiting", WAITING)
    processes = [scripts.start(path, which) for which in ("waiting", "awaiting")]
    for name, process in zip(("waiting", "awaiting"), processes, strict=True):
        run = eventually(partial(running, scripts, name), f"{name} runs")
        scripts.post(f"/flow_runs/{run['id']}/set_state", {"state": {"type": "CANCELLING"}})
        output, _ = process.communicate(timeout=55)
        assert "HOOK Cancelling" in output, output
        assert "STATE Cancelled" in output, output
        assert scripts.get(f"/flow_runs/{run['id']}")["state_type"] == "CANCELLED"


def test_sigterm_crashes_a_run_and_its_parent(scripts: Scripts) -> None:
    process = scripts.start(scripts.write("waiting", WAITING), "outer")
    child = eventually(partial(running, scripts, "waiting"), "the child runs")
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=55)
    assert process.returncode != 0, output
    assert scripts.flow_run("outer")["state_name"] == "Crashed"
    assert scripts.get(f"/flow_runs/{child['id']}")["state_name"] == "Crashed"


MANY = """
import asyncio

from sempre import flow, task, tags
from sempre.artifacts import Artifact, create_markdown_artifact, create_progress_artifact, update_progress_artifact
from sempre.concurrency.asyncio import concurrency as aconcurrency
from sempre.concurrency.sync import concurrency, rate_limit
from sempre.events import emit_event
from sempre.task_runners import ProcessPoolTaskRunner
from sempre.variables import Variable


@task(tags=["limited"])
def one_at_a_time(x):
    return x


@task
def square(x):
    print("in another process")
    return x * x


@flow(task_runner=ProcessPoolTaskRunner(max_workers=1), log_prints=True)
def processes():
    first = square.submit(3)
    return square.submit(first).result()


@flow
def things():
    Variable.set("colour", {"name": "blue"})
    Variable.set("colour", {"name": "green"}, overwrite=True)
    assert Variable.get("colour") == {"name": "green"}
    assert Variable.unset("colour") and Variable.get("colour", 7) == 7
    id = create_progress_artifact(10.0, key="progress")
    update_progress_artifact(id, 70)
    create_markdown_artifact("# hi", key="text")
    assert Artifact.get("progress").data == 70
    with concurrency("five", occupy=2), concurrency("no-such-limit"):
        rate_limit("five")
    with tags("more"):
        assert one_at_a_time.map([1, 2, 3]).result() == [1, 2, 3]
    emit_event("user.did.something", {"prefect.resource.id": "user.thing"}, payload={"a": 1})


@flow
async def athings():
    await Variable.set("n", 1)
    assert await Variable.get("n") == 1
    async with aconcurrency(["five"], strict=True):
        await create_markdown_artifact("# async", key="async-text")


if __name__ == "__main__":
    things()
    asyncio.run(athings())
    assert processes() == 81
"""


def test_many_things(scripts: Scripts) -> None:
    scripts.post("/v2/concurrency_limits/", {"name": "five", "limit": 5, "slot_decay_per_second": 5.0})
    scripts.post("/v2/concurrency_limits/", {"name": "tag:limited", "limit": 1})
    scripts.run(scripts.write("many", MANY))
    assert scripts.flow_run("things")["state_type"] == "COMPLETED"
    limited = scripts.task_runs("things", lambda found: [r["state_type"] for r in found] == ["COMPLETED"] * 3)
    assert all(sorted(run["tags"]) == ["limited", "more"] for run in limited)
    assert scripts.get("/v2/concurrency_limits/tag:limited")["active_slots"] == 0
    filter = {"event": {"name": ["user.did.something"]}}
    (event,) = eventually(lambda: scripts.post("/events/filter", {"filter": filter})["events"], "the user's event")
    assert event["payload"] == {"a": 1}
    in_processes = scripts.task_runs("processes", lambda found: [r["state_name"] for r in found] == ["Completed"] * 2)
    assert all(run["run_count"] == 1 for run in in_processes)


DEPLOYED = """
from sempre import flow, runtime, suspend_flow_run


@flow(persist_result=True)
def deployed(x: int):
    answer = suspend_flow_run(wait_for_input=int, timeout=60)
    with open("ran", "a") as file:
        file.write(f"{x} {answer} {runtime.deployment.name} {runtime.flow_run.run_count}\\n")
"""
RUNS_IT = """
import sys
from sempre.deployments import run_deployment

run = run_deployment(sys.argv[1], parameters={"x": "5"}, timeout=0)
print("RUN", run.id)
"""


def test_a_suspended_run_of_a_deployment_goes_on_in_another_process(scripts: Scripts) -> None:
    scripts.write("deployed", DEPLOYED)
    flow = scripts.post("/flows/", {"name": "deployed"})
    body = {
        "name": "here", "flow_id": flow["id"], "entrypoint": "deployed.py:deployed", "path": str(scripts.folder),
        "enforce_parameter_schema": False,
    }  # fmt: skip
    scripts.post("/deployments/", body)
    id = scripts.run(scripts.write("runs_it", RUNS_IT), "deployed/here").split("RUN ")[1].strip()
    script = scripts.write("execute", "import sys\nfrom sempre.sdk.execute import main\nsys.exit(main())\n")
    scripts.run(script, id)
    assert scripts.get(f"/flow_runs/{id}")["state_name"] == "Suspended"
    assert not (scripts.folder / "ran").exists()
    scripts.post(f"/flow_runs/{id}/resume", {"run_input": {"value": 42}})
    scripts.run(script, id)
    assert (scripts.folder / "ran").read_text() == "5 42 here 1\n"
    assert [s["name"] for s in scripts.get(f"/flow_run_states/?flow_run_id={id}")][1:] == [
        "Running", "Suspended", "Resuming", "Running", "Completed",
    ]  # fmt: skip
    broken = scripts.run(scripts.write("runs_it", RUNS_IT), "deployed/here").split("RUN ")[1].strip()
    (scripts.folder / "deployed.py").write_text("import no_such_module")
    scripts.run(script, broken, code=1)
    assert "no_such_module" in scripts.get(f"/flow_runs/{broken}")["state"]["message"]


KILLED = """
import time
from pathlib import Path

from sempre import flow, task


def note(text):
    with open("ran", "a") as file:
        file.write(text + " ")


@task(persist_result=True)
def first(x):
    note("first")
    return x


@task
def second(x):
    note("second")
    while not Path("go").exists():
        time.sleep(0.05)
    return x


@flow
def killed():
    return second(first(1))
"""


def test_after_a_kill_kept_results_are_not_made_again(scripts: Scripts) -> None:
    scripts.write("killed", KILLED)
    flow = scripts.post("/flows/", {"name": "killed"})
    body = {"name": "here", "flow_id": flow["id"], "entrypoint": "killed.py:killed", "path": str(scripts.folder)}
    deployment = scripts.post("/deployments/", body)
    run = scripts.post(f"/deployments/{deployment['id']}/create_flow_run", {})
    script = scripts.write("execute", "import sys\nfrom sempre.sdk.execute import main\nsys.exit(main())\n")
    process = scripts.start(script, run["id"])
    ran = scripts.folder / "ran"
    eventually(lambda: ran.exists() and ran.read_text() == "first second ", "the second task runs")
    process.kill()
    process.communicate()
    scripts.post(f"/flow_runs/{run['id']}/set_state", {"state": {"type": "SCHEDULED"}, "force": True})
    (scripts.folder / "go").touch()
    scripts.run(script, run["id"])
    assert ran.read_text() == "first second second "
    assert scripts.get(f"/flow_runs/{run['id']}")["state_name"] == "Completed"
    tasks = scripts.task_runs("killed", lambda found: any(r["state_name"] == "Cached" for r in found))
    assert {run["state_name"] for run in tasks if run["name"].startswith("first")} >= {"Cached"}


BACKGROUND = """
import sys

from sempre import task


@task(retries=1, retry_delay_seconds=0.1)
def background(x: int, seen=[]):
    seen.append(x)
    if len(seen) == 1:
        raise ValueError("first")
    return x * 2


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        print("SERVING", flush=True)
        background.serve()
    else:
        futures = [background.delay(n) for n in (1, 2)]
        print("VALUES", [future.result(timeout=30) for future in futures])
"""


def test_background_tasks(scripts: Scripts) -> None:
    path = scripts.write("background", BACKGROUND)
    worker = scripts.start(path, "serve")
    try:
        assert "VALUES [2, 4]" in scripts.run(path, "delay")
    finally:
        worker.send_signal(signal.SIGTERM)
        output, _ = worker.communicate(timeout=55)
    assert worker.returncode == 0, output


BLOCKS = """
from pydantic import SecretStr

from sempre.blocks.core import Block
from sempre.blocks.system import Secret


class Inner(Block):
    url: str


class Outer(Block):
    inner: Inner
    password: SecretStr
    size: int = 3


Secret(value="hush").save("mine")
Secret(value="hush hush").save("mine", overwrite=True)
assert Secret.load("mine").get() == "hush hush"
inner = Inner(url="http://x")
inner.save("in")
Outer(inner=inner, password="pw").save("out")
found = Block.load("outer/out")
assert found.inner.url == "http://x" and found.password.get_secret_value() == "pw" and found.size == 3
Outer.delete("out")
try:
    Outer.load("out")
except ValueError as error:
    print("GONE", error)
"""


def test_blocks(scripts: Scripts) -> None:
    assert "GONE There is no block outer/out" in scripts.run(scripts.write("blocks", BLOCKS))
