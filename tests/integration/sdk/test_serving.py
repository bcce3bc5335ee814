"""Scripts that serve deployments: real processes, stopped as people stop them."""

from __future__ import annotations

import signal
import subprocess

from tests.integration.sdk.conftest import Scripts
from tests.support.servers import SEMPRE
from tests.support.wait import eventually

SERVE = """
from sempre import flow, serve


@flow
def served_one(x: int = 1):
    return x


@flow
def served_two():
    pass


if __name__ == "__main__":
    serve(
        served_one.to_deployment("here", interval=3600, parameters={"x": 7}),
        served_two.to_deployment("there", cron="0 3 * * *"),
        limit=2,
    )
"""


def test_serving_until_ctrl_c(scripts: Scripts) -> None:
    path = scripts.write("serving", SERVE)
    process = scripts.start(path)
    try:

        def deployments() -> dict[str, str] | None:
            found = scripts.post("/deployments/filter", {"deployments": {"name": {"any_": ["here", "there"]}}})
            return {each["name"]: each["id"] for each in found} if len(found) == 2 else None

        ids = eventually(deployments, "both are known", 60)
        run = scripts.post(f"/deployments/{ids['here']}/create_flow_run", {})
        eventually(
            lambda: scripts.get(f"/flow_runs/{run['id']}")["state_name"] == "Completed", "the run completes", timeout=60
        )
        assert scripts.get(f"/flow_runs/{run['id']}")["parameters"] == {"x": 7}
    finally:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert "Serving served-one/here, served-two/there" in output
    for id in ids.values():
        assert scripts.get(f"/deployments/{id}")["paused"]


LONE = """
from sempre import flow


@flow
def lone():
    pass
"""

SERVE_LONE = """
from sempre import flow

if __name__ == "__main__":
    lone = flow.from_source("elsewhere", "lone.py:lone")
    lone.serve(pause_on_shutdown=False, print_starting_message=False)
"""


def test_serving_again_wakes_what_was_paused(scripts: Scripts) -> None:
    flow_id = scripts.post("/flows/", {"name": "lone"})["id"]
    made = scripts.post("/deployments/", {"name": "lone", "flow_id": flow_id, "paused": True})
    code = scripts.folder / "elsewhere"
    code.mkdir()
    (code / "lone.py").write_text(LONE)
    process = scripts.start(scripts.write("serving_lone", SERVE_LONE))
    try:
        eventually(lambda: not scripts.get(f"/deployments/{made['id']}")["paused"], "it is awake")
        run = scripts.post(f"/deployments/{made['id']}/create_flow_run", {})
        eventually(
            lambda: scripts.get(f"/flow_runs/{run['id']}")["state_name"] == "Completed", "the run completes", timeout=60
        )
    finally:
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    after = scripts.get(f"/deployments/{made['id']}")
    assert (after["entrypoint"], after["path"], after["paused"]) == ("lone.py:lone", str(code), False)


TASKS = """
from sempre import flow, task


@task
def double(x):
    return 2 * x


@flow
def doubled(x: int = 1):
    return double(x)
"""

CALLER = """
from work import double

print("VALUE", double.delay(4).result(timeout=40))
"""


def test_tasks_and_flows_are_served_from_the_command_line(scripts: Scripts) -> None:
    scripts.write("work", TASKS)
    tasks = start_sempre(scripts, "task", "serve", "work.py:double", "--limit", "2")
    flows = start_sempre(scripts, "flow", "serve", "work.py:doubled", "-n", "shell", "--interval", "1 hour")
    try:
        assert "VALUE 8" in scripts.run(scripts.write("caller", CALLER))

        def made() -> str | None:
            found = scripts.post("/deployments/filter", {"deployments": {"name": {"any_": ["shell"]}}})
            return str(found[0]["id"]) if found else None

        id = eventually(made, "the deployment is known")
        run = scripts.post(f"/deployments/{id}/create_flow_run", {"parameters": {"x": 3}})
        eventually(
            lambda: scripts.get(f"/flow_runs/{run['id']}")["state_name"] == "Completed", "the run completes", timeout=60
        )
    finally:
        for process in (tasks, flows):
            process.send_signal(signal.SIGINT)
        ended = [(process.communicate(timeout=60)[0], process.returncode) for process in (tasks, flows)]
    assert [code for _, code in ended] == [0, 0], ended


def start_sempre(scripts: Scripts, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*SEMPRE, *args],
        env=scripts.environment,
        cwd=scripts.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
