"""Commands that execute code of the user's: shell commands, retries here, block classes; and what pools do not do."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.own_cli import OwnCli
from tests.support.prefect_env import ROOT
from tests.support.runs import Runs
from tests.support.servers import SEMPRE


class Here:
    """`sempre ...` in a process of its own, in a directory."""

    def __init__(self, cli: OwnCli, folder: Path) -> None:
        self.cli = cli
        self.folder = folder

    def __call__(self, *args: str, code: int = 0) -> str:
        env = {**os.environ, **self.cli.env, "PYTHONPATH": str(ROOT), "SEMPRE_CLIENT_PATIENCE_SECONDS": "20"}
        done = subprocess.run(
            [*SEMPRE, *args], env=env, cwd=self.folder, capture_output=True, text=True, timeout=90, check=False
        )
        assert done.returncode == code, f"sempre {args} ended with {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr


@pytest.fixture
def here(cli: OwnCli, tmp_path: Path) -> Here:
    return Here(cli, tmp_path)


def test_a_shell_command_is_a_flow_run(here: Here, runs: Runs) -> None:
    output = here("shell", "watch", "echo one; echo two >&2", "--flow-name", "backup", "--tag", "nightly")
    assert "one\n" in output
    [run] = runs.post("/flow_runs/filter", {"flows": {"name": {"any_": ["backup"]}}})
    assert (run["state_type"], set(run["tags"])) == ("COMPLETED", {"shell", "nightly"})
    found = runs.post("/logs/filter", {"logs": {"flow_run_id": {"any_": [run["id"]]}}})
    assert {"one", "two"} <= {line["message"] for line in found}
    failed = here("shell", "watch", "echo three; exit 3", "--no-stream-stdout", "--flow-name", "exits", code=1)
    assert "exit code 3" in failed


def test_a_shell_command_is_served(here: Here, runs: Runs) -> None:
    named = ("--flow-name", "counting", "--deployment-name", "seven")
    command = ("shell", "serve", "echo seven", *named, "--tag", "daily")
    here(*command, "--cron-schedule", "0 3 * * *", "--timezone", "Europe/Berlin", "--run-once")
    deployment = runs.get("/deployments/name/counting/seven")
    [planned] = deployment["schedules"]
    assert planned["schedule"] == {"cron": "0 3 * * *", "timezone": "Europe/Berlin", "day_or": True}
    run = runs.post(f"/deployments/{deployment['id']}/create_flow_run", {})
    here(*command, "--run-once")
    assert runs.get(f"/flow_runs/{run['id']}")["state_type"] == "COMPLETED"
    found = runs.post("/logs/filter", {"logs": {"flow_run_id": {"any_": [run["id"]]}}})
    assert "seven" in {line["message"] for line in found}
    assert "--cron-schedule" in here(*command, "--timezone", "UTC", code=1)
    assert "is not made" in here(*command, "--cron-schedule", "never", code=1)


FLOW = """
from pathlib import Path

from sempre import flow, task


@task(persist_result=True)
def first(x):
    with open("ran", "a") as file:
        file.write("first ")
    return x


@flow(persist_result=True)
def breaks(x: int = 1):
    first(x)
    if not Path("mended").exists():
        raise ValueError("broken")
    return x


if __name__ == "__main__":
    breaks(2, return_state=True)
"""


def test_a_run_without_a_deployment_is_retried_here(here: Here, cli: OwnCli, runs: Runs) -> None:
    (here.folder / "breaking.py").write_text(FLOW)
    env = {**os.environ, **cli.env, "PYTHONPATH": str(ROOT), "SEMPRE_CLIENT_PATIENCE_SECONDS": "20"}
    subprocess.run([SEMPRE[0], "breaking.py"], env=env, cwd=here.folder, timeout=90, check=True)
    [run] = runs.post("/flow_runs/filter", {"flows": {"name": {"any_": ["breaks"]}}})
    assert run["state_type"] == "FAILED"
    assert "--entrypoint" in cli.fails("flow-run", "retry", run["id"])
    (here.folder / "mended").touch()
    told = here("flow-run", "retry", run["id"], "--entrypoint", "breaking.py:breaks", "-o", "json")
    assert json.JSONDecoder().raw_decode(told)[0]["state_type"] == "COMPLETED"
    assert runs.get(f"/flow_runs/{run['id']}")["state_type"] == "COMPLETED"
    assert (here.folder / "ran").read_text() == "first ", "the task whose result was kept does not run again"
    told = here("flow-run", "retry", run["id"], "--entrypoint", "breaking.py:breaks", code=1)
    assert "not run again" in told, "its result would be lost"


BLOCKS = """
from pydantic import SecretStr

from sempre.blocks.core import Block
from sempre.blocks.system import Secret


class Warehouse(Block):
    host: str
    password: SecretStr
"""


def test_block_classes_are_registered(here: Here, cli: OwnCli, runs: Runs) -> None:
    (here.folder / "stores.py").write_text(BLOCKS)
    for source in (("-f", "stores.py"), ("--module", "stores")):
        assert "warehouse" in here("block", "register", *source)
    assert runs.get("/block_types/slug/warehouse")["name"] == "Warehouse"
    assert "either" in cli.fails("block", "register")
    assert "no file" in cli.fails("block", "register", "-f", "nothing.py")
    assert "cannot be loaded" in cli.fails("block", "register", "-m", "no_such_module")
    (here.folder / "empty.py").write_text("x = 1")
    assert "defines no blocks" in here("block", "register", "-f", "empty.py", code=1)


def test_what_pools_do_not_do_is_said(cli: OwnCli) -> None:
    cli("work-pool", "create", "cloudy", "--type", "kubernetes")
    assert "sempre worker start --pool cloudy" in cli.fails("work-pool", "provision-infrastructure", "cloudy")
    assert "result_storage" in cli.fails("work-pool", "storage", "configure", "s3", "cloudy")
    assert "Unknown kind" in cli.fails("work-pool", "storage", "configure", "floppy", "cloudy")
