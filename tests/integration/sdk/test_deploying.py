"""Deployments made by users' scripts and project files: what the server knows of them, and that their runs run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.sdk.conftest import Scripts, deployment, sempre

FLOW = """
from sempre import flow, get_run_logger


@flow(name="{name}")
def {name}(day: str = "today", n: int = 1):
    "Loads a day."
    get_run_logger().info(f"loading {{day}}")
    return n
"""

DEPLOY = """
import sys
from {module} import {name}
from sempre.events import DeploymentEventTrigger
from sempre.schedules import Cron, Interval

id = {name}.deploy(
    "nightly",
    work_pool_name="{name}-pool",
    schedules=[Interval(3600, slug="hourly"), Cron("0 3 * * *", timezone="Europe/Berlin")],
    triggers=[DeploymentEventTrigger(expect={{"a.b"}}, parameters={{"day": "{{{{ event.id }}}}"}})],
    parameters={{"day": sys.argv[1]}},
    tags=["t"],
    concurrency_limit=3,
)
print("ID", id)
"""


@pytest.fixture
def etl(scripts: Scripts) -> str:
    """A flow's name with nothing in the server but a work pool for it."""
    name = f"etl_{scripts.folder.name.replace('-', '_')}"
    scripts.write(name, FLOW.format(name=name))
    scripts.post("/work_pools/", {"name": f"{name}-pool", "type": "process"})
    return name


def execute_a_run(scripts: Scripts, made: dict[str, Any], at: Path, **parameters: Any) -> dict[str, Any]:
    """A run of a deployment, executed as a worker on another machine would."""
    run = scripts.post(f"/deployments/{made['id']}/create_flow_run", {"parameters": parameters})
    at.mkdir()
    command = [sys.executable, "-m", "sempre.sdk.execute", run["id"]]
    done = subprocess.run(
        command, env=scripts.environment, cwd=at, capture_output=True, text=True, timeout=60, check=False
    )
    after: dict[str, Any] = scripts.get(f"/flow_runs/{run['id']}")
    assert after["state_name"] == "Completed", f"{after['state']}\n{done.stdout}{done.stderr}"
    return after


def test_a_flow_is_deployed_and_deployed_again(scripts: Scripts, etl: str, tmp_path: Path) -> None:
    script = scripts.write("deploying", DEPLOY.format(module=etl, name=etl))
    scripts.run(script, "monday")
    first = deployment(scripts, etl, "nightly")
    assert first["entrypoint"] == f"{etl}.py:{etl}"
    assert first["pull_steps"] == [{"sempre.deployments.steps.set_working_directory": {"directory": str(tmp_path)}}]
    assert (first["work_pool_name"], first["tags"], first["parameters"]) == (f"{etl}-pool", ["t"], {"day": "monday"})
    assert first["description"] == "Loads a day."
    assert first["parameter_openapi_schema"]["properties"]["n"]["type"] == "integer"
    assert first["global_concurrency_limit"]["limit"] == 3
    (automation,) = automations(scripts, first)

    output = scripts.run(script, "tuesday")
    second = deployment(scripts, etl, "nightly")
    assert f"ID {first['id']}" in output
    assert second["parameters"] == {"day": "tuesday"}
    assert times(second) == times(first)
    (replaced,) = automations(scripts, second)
    assert replaced["id"] != automation["id"]

    run = execute_a_run(scripts, second, tmp_path / "elsewhere", n=2)
    assert run["parameters"] == {"day": "tuesday", "n": 2}
    lines = scripts.post("/logs/filter", {"logs": {"flow_run_id": {"any_": [run["id"]]}}, "sort": "TIMESTAMP_ASC"})
    messages = [line["message"] for line in lines]
    assert "Executing deployment step: set_working_directory" in messages
    assert "loading tuesday" in messages


def times(made: dict[str, Any]) -> list[str]:
    return sorted(json.dumps(each["schedule"], sort_keys=True) for each in made["schedules"])


def automations(scripts: Scripts, made: dict[str, Any]) -> list[dict[str, Any]]:
    return list(scripts.get(f"/automations/related-to/prefect.deployment.{made['id']}"))


CLEARED = """
from {module} import {name}
from sempre.schedules import Interval

{name}.deploy("nightly", work_pool_name="{name}-pool", paused=True, ignore_warnings=True, print_next_steps=False)
"""


def test_what_a_deployment_no_longer_says_is_gone(scripts: Scripts, etl: str) -> None:
    scripts.run(scripts.write("deploying", DEPLOY.format(module=etl, name=etl)), "monday")
    output = scripts.run(scripts.write("clearing", CLEARED.format(module=etl, name=etl)))
    made = deployment(scripts, etl, "nightly")
    assert output == ""
    assert (made["schedules"], made["tags"], made["parameters"]) == ([], [], {})
    assert made["global_concurrency_limit"] is None
    assert made["paused"]
    assert automations(scripts, made) == []


FROM_GIT = """
import sys
from sempre import flow
from sempre.runner.storage import GitRepository

found = flow.from_source(sys.argv[1], "flows/load.py:{name}")
print("VALUE", found(n=5))
found.deploy("cloned", work_pool_name="{name}-pool", job_variables={{"env": {{"A": "1"}}}})
"""


def test_a_flow_from_a_repository(scripts: Scripts, etl: str, tmp_path: Path) -> None:
    origin = tmp_path / "origin.git"
    (origin / "flows").mkdir(parents=True)
    (origin / "flows/load.py").write_text(FLOW.format(name=etl))
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for arguments in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "first"]):
        subprocess.run(["git", "-C", str(origin), *arguments], check=True)
    output = scripts.run(scripts.write("from_git", FROM_GIT.format(name=etl)), origin.as_uri())
    assert "VALUE 5" in output
    made = deployment(scripts, etl, "cloned")
    assert made["pull_steps"] == [{"sempre.deployments.steps.git_clone": {"repository": origin.as_uri()}}]
    assert made["entrypoint"] == f"flows/load.py:{etl}"
    assert made["job_variables"] == {"env": {"A": "1"}}
    execute_a_run(scripts, made, tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere/origin/flows/load.py").exists()


PROJECT = """
name: project
prefect-version: 3.4.0

build:
  - prefect.deployments.steps.run_shell_script:
      id: hash
      script: |
        mkdir built
        echo c0ffee
      stream_output: false

pull:
  - prefect.deployments.steps.set_working_directory:
      directory: {folder}

definitions:
  pool: &pool
    name: {name}-pool
    job_variables:
      env: {{"TOKEN": "{{{{ prefect.blocks.secret.token }}}}", "HASH": "{{{{ hash.stdout }}}}"}}

deployments:
  - name: one
    entrypoint: {name}.py:{name}
    version: "{{{{ hash.stdout }}}}"
    schedule: {{}}
    schedules:
      - interval: 600
        slug: often
    concurrency_limit:
      limit: 2
      collision_strategy: CANCEL_NEW
    parameters: {{n: 4, day: "{{{{ today }}}}"}}
    triggers:
      - enabled: true
        expect: [a.b]
    work_pool: *pool
  - name: two
    entrypoint: {name}.py:{name}
    work_pool: *pool
"""


def test_a_project_file(scripts: Scripts, etl: str, tmp_path: Path) -> None:
    (tmp_path / "prefect.yaml").write_text(PROJECT.format(name=etl, folder=tmp_path))
    told = json.loads(sempre(scripts, "deploy", "--all", "-o", "json", at=tmp_path))
    assert [each["name"] for each in told] == [f"{etl}/one", f"{etl}/two"]
    one = deployment(scripts, etl, "one")
    assert (one["version"], one["parameters"]) == ("c0ffee", {"n": 4, "day": "{{ today }}"})
    assert one["job_variables"]["env"] == {"TOKEN": "{{ prefect.blocks.secret.token }}", "HASH": "c0ffee"}
    assert one["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    assert [each["slug"] for each in one["schedules"]] == ["often"]
    assert len(automations(scripts, one)) == 1
    execute_a_run(scripts, one, tmp_path / "elsewhere")

    (tmp_path / "built").rmdir()  # building twice would have failed
    output = sempre(scripts, "deploy", "-n", f"{etl}/tw*", "--cron", "0 4 * * *", "--param", "n=7", at=tmp_path)
    assert f"Deployed {etl}/two" in output
    two = deployment(scripts, etl, "two")
    assert (two["schedules"][0]["schedule"]["cron"], two["parameters"]) == ("0 4 * * *", {"n": 7})
    assert deployment(scripts, etl, "one")["updated"] == one["updated"]


def test_without_a_project_file(scripts: Scripts, etl: str, tmp_path: Path) -> None:
    entrypoint = f"{etl}.py:{etl}"
    assert "Say which flow" in sempre(scripts, "deploy", at=tmp_path, code=1)
    assert "--pool" in sempre(scripts, "deploy", entrypoint, "-n", "x", at=tmp_path, code=1)
    assert "no work pool 'none'" in sempre(scripts, "deploy", entrypoint, "-n", "x", "-p", "none", at=tmp_path, code=1)
    refused = sempre(scripts, "deploy", entrypoint, "-n", "x", "-p", f"{etl}-pool", "--sla", "{}", at=tmp_path, code=1)
    assert "not kept here" in refused
    typed = ("--interval", "2 hours", "--version", "1", "--version-type", "vcs:git")
    sempre(scripts, "deploy", entrypoint, "-n", "x", "-p", f"{etl}-pool", *typed, at=tmp_path)
    assert deployment(scripts, etl, "x")["schedules"][0]["schedule"]["interval"] == 7200
    assert deployment(scripts, etl, "x")["version"] == "1"


def test_init_writes_a_file_that_deploy_reads(scripts: Scripts, etl: str, tmp_path: Path) -> None:
    sempre(scripts, "init", "--name", "mine", at=tmp_path)
    assert "already" in sempre(scripts, "init", at=tmp_path, code=1)
    text = (tmp_path / "sempre.yaml").read_text()
    assert str(tmp_path) in text
    sempre(scripts, "deploy", f"{etl}.py:{etl}", "-n", "x", "-p", f"{etl}-pool", at=tmp_path)
    (step,) = deployment(scripts, etl, "x")["pull_steps"]
    assert step == {"sempre.deployments.steps.set_working_directory": {"directory": str(tmp_path)}}


def test_what_is_missing_is_asked_for_and_kept(scripts: Scripts, etl: str, tmp_path: Path) -> None:
    typed = f"{etl}.py:{etl}\nasked\n{etl}-pool\ny\n"
    sempre(scripts, "--prompt", "deploy", at=tmp_path, stdin=typed)
    first = deployment(scripts, etl, "asked")
    assert first["work_pool_name"] == f"{etl}-pool"
    sempre(scripts, "deploy", "-n", "asked", at=tmp_path)
    assert deployment(scripts, etl, "asked")["id"] == first["id"]


def test_a_worker_executes_what_was_deployed(scripts: Scripts, etl: str, tmp_path: Path) -> None:
    sempre(scripts, "deploy", f"{etl}.py:{etl}", "-n", "x", "-p", f"{etl}-pool", "--param", "n=3", at=tmp_path)
    run = scripts.post(f"/deployments/{deployment(scripts, etl, 'x')['id']}/create_flow_run", {})
    (tmp_path / "elsewhere").mkdir()
    sempre(scripts, "worker", "start", "--pool", f"{etl}-pool", "--run-once", at=tmp_path / "elsewhere")
    after = scripts.get(f"/flow_runs/{run['id']}")
    assert (after["state_name"], after["parameters"]) == ("Completed", {"n": 3})
