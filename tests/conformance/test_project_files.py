"""One project file, deployed by the stock client and by ours: the server is told the same."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.prefect_env import PrefectClient
from tests.support.runs import Runs
from tests.support.servers import SEMPRE, Target, sempre_environment

FLOW = """
from {package} import flow


@flow
def load_all(day: str = "today", n: int = 1):
    "Loads everything."
"""

PROJECT = """
name: shop

build:
  - prefect.deployments.steps.run_shell_script:
      id: hash
      script: echo c0ffee
      stream_output: false

deployments:
  - name: plain
    entrypoint: flows/etl.py:load_all
    work_pool: {name: POOL}
  - name: full
    version: "{{ hash.stdout }}"
    tags: [b, a, "{{ prefect.variables.project_tag }}"]
    description: In full.
    entrypoint: flows/etl.py:load_all
    parameters: {n: 3}
    enforce_parameter_schema: false
    paused: true
    schedules:
      - cron: 0 3 * * *
        timezone: Europe/Berlin
        slug: night
        active: false
        parameters: {day: night}
      - interval: 3600
        anchor_date: "2026-01-01T00:00:00+00:00"
    concurrency_limit: {limit: 2, collision_strategy: CANCEL_NEW}
    triggers:
      - enabled: true
        expect: [a.b]
        match: {prefect.resource.id: "x.*"}
        parameters: {day: "{{ event.id }}"}
      - type: compound
        require: all
        within: 60
        triggers:
          - {type: event, posture: Reactive, expect: [c]}
          - {type: event, posture: Reactive, expect: [d]}
    pull:
      - prefect.deployments.steps.git_clone:
          id: clone
          repository: https://example.org/a.git
          branch: "{{ hash.stdout }}"
      - prefect.deployments.steps.set_working_directory:
          directory: "{{ clone.directory }}/x"
    work_pool:
      name: POOL
      work_queue_name: fast
      job_variables:
        env: {HASH: "{{ hash.stdout }}"}
"""

# Not of the file: times, ids, and what each client says of itself.
_OWN = {"id", "created", "updated", "created_by", "updated_by", "last_polled", "status", "deployment_id"}


@pytest.fixture
def pool(runs: Runs) -> str:
    name = "project-files"
    runs.post("/work_pools/", {"name": name, "type": "process"})
    runs.post("/variables/", {"name": "project_tag", "value": "from-a-variable"})
    return name


def project(folder: Path, package: str, pool: str) -> Path:
    (folder / "flows").mkdir(parents=True)
    (folder / "flows/etl.py").write_text(FLOW.format(package=package))
    (folder / "prefect.yaml").write_text(PROJECT.replace("POOL", pool))
    return folder


def deployed(runs: Runs) -> dict[str, Any]:
    """What the server was told, without what differs from call to call; the deployments are deleted."""
    found = {}
    for made in runs.post("/deployments/filter", {"flows": {"name": {"any_": ["load-all"]}}}):
        automations = runs.get(f"/automations/related-to/prefect.deployment.{made['id']}")
        found[made["name"]] = settled(made, made["id"])
        found[made["name"]]["automations"] = sorted(
            (settled(each, made["id"]) for each in automations), key=lambda each: str(each["name"])
        )
        runs.api.delete(f"/deployments/{made['id']}").raise_for_status()
    return found


def settled(value: Any, deployment_id: str) -> Any:
    if isinstance(value, dict):
        return {name: settled(each, deployment_id) for name, each in value.items() if name not in _OWN}
    if isinstance(value, list):
        return sorted((settled(each, deployment_id) for each in value), key=str)
    if isinstance(value, str):
        text = value.replace(deployment_id, "ID").replace("sempre.deployments.steps", "prefect.deployments.steps")
        return re.sub(r"/(ours|stock)\b", "/FOLDER", text)
    return value


def test_the_same_deployments_come_of_it(
    prefect: PrefectClient, runs: Runs, target: Target, pool: str, tmp_path: Path
) -> None:
    command = [str(prefect.python), "-m", "prefect", "--no-prompt", "deploy", "--all"]
    run(command, prefect.environment(), project(tmp_path / "stock", "prefect", pool))
    stock = deployed(runs)
    environment = {**sempre_environment(tmp_path / "home", None, None), "SEMPRE_API_URL": target.api_url}
    run([*SEMPRE, "deploy", "--all"], environment, project(tmp_path / "ours", "sempre", pool))
    ours = deployed(runs)
    assert set(stock) == {"plain", "full"}
    for name, made in stock.items():
        for field, value in made.items():
            if not (name == "plain" and field == "version"):  # a hash of the file, which differs
                assert ours[name][field] == value, f"{field} of {name}"


def run(command: list[str], environment: dict[str, str], at: Path) -> None:
    done = subprocess.run(
        command, env=environment, cwd=at, capture_output=True, text=True, timeout=120, check=False
    )
    # Not the traceback of a client that is a black box.
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr.strip().rpartition("\n")[2]


