"""`prefect deploy` with a project file and without, `prefect deployment`, `prefect flow ls`."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.support.runs import Json, Runs, checked
from tests.support.warm_cli import WarmCli

POOL = "deploy-pool"

FLOWS = """
from prefect import flow


@flow(name="cliflow")
def main(n: int = 1, s: str = "a"):
    return n


@flow(name="failing")
def failing():
    raise ValueError("no")
"""

PROJECT = f"""
name: project
pull:
- prefect.deployments.steps.set_working_directory:
    directory: .
deployments:
- name: one
  entrypoint: flows.py:main
  version: "1.0"
  tags: [a, b]
  description: the first
  parameters: {{n: 5}}
  schedules:
  - cron: "0 5 * * *"
    timezone: Europe/Berlin
    slug: early
    active: true
    parameters: {{n: 9}}
  - interval: 3600
    slug: hourly
    active: false
  concurrency_limit:
    limit: 2
    collision_strategy: CANCEL_NEW
  triggers:
  - type: event
    enabled: true
    match: {{prefect.resource.id: some.resource}}
    expect: [some.event]
    parameters: {{s: "{{{{ event.resource.id }}}}"}}
  work_pool:
    name: {POOL}
    work_queue_name: fast
    job_variables: {{env: {{A: "1"}}}}
- name: two
  entrypoint: flows.py:main
  enforce_parameter_schema: false
  work_pool: {{name: {POOL}}}
"""


@pytest.fixture(scope="module")
def deployed(cli: WarmCli, runs: Runs, project: Path) -> dict[str, Json]:
    """Both deployments of the project file, by name."""
    runs.post("/work_pools/", {"name": POOL, "type": "process"})
    (project / "flows.py").write_text(FLOWS)
    (project / "prefect.yaml").write_text(PROJECT)
    cli("deploy", "--all")
    return {name: read(runs, name) for name in ("one", "two")}


def read(runs: Runs, name: str, flow: str = "cliflow") -> Json:
    found: Json = runs.get(f"/deployments/name/{flow}/{name}")
    return found


def test_what_the_project_file_says(deployed: dict[str, Json], runs: Runs) -> None:
    one = deployed["one"]
    assert (one["version"], one["tags"], one["description"]) == ("1.0", ["a", "b"], "the first")
    assert (one["parameters"], one["job_variables"]) == ({"n": 5}, {"env": {"A": "1"}})
    assert (one["work_pool_name"], one["work_queue_name"]) == (POOL, "fast")
    assert one["entrypoint"] == "flows.py:main"
    assert one["global_concurrency_limit"]["limit"] == 2
    assert one["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    schedules = {item["slug"]: item for item in one["schedules"]}
    early, hourly = schedules["early"], schedules["hourly"]
    assert (early["schedule"]["cron"], early["schedule"]["timezone"]) == ("0 5 * * *", "Europe/Berlin")
    assert (early["active"], early["parameters"]) == (True, {"n": 9})
    assert (hourly["schedule"]["interval"], hourly["active"]) == (3600.0, False)
    assert [one["enforce_parameter_schema"], deployed["two"]["enforce_parameter_schema"]] == [True, False]
    automation = runs.get(f"/automations/related-to/prefect.deployment.{one['id']}")
    assert [item["actions"][0]["deployment_id"] for item in automation] == [one["id"]]


def test_deploying_again_changes_nothing(cli: WarmCli, runs: Runs, deployed: dict[str, Json]) -> None:
    cli("deploy", "--name", "one")
    again = read(runs, "one")
    ours = deployed["one"]
    assert again["id"] == ours["id"]
    for field in ("parameters", "tags", "job_variables", "work_queue_id", "concurrency_options", "version"):
        assert again[field] == ours[field], field
    assert {item["slug"] for item in again["schedules"]} == {"early", "hourly"}
    assert again["global_concurrency_limit"]["limit"] == 2
    assert len(runs.get(f"/automations/related-to/prefect.deployment.{ours['id']}")) == 1


def test_deploy_by_options(cli: WarmCli, runs: Runs, deployed: dict[str, Json]) -> None:
    options = ("--cron", "0 1 * * *", "--version", "v9", "--tag", "t1", "--work-queue", "slow")
    limits = ("--concurrency-limit", "1", "--collision-strategy", "CANCEL_NEW")
    cli("deploy", "flows.py:failing", "-n", "opts", "-p", POOL, *options, *limits, "--job-variable", "k=v")
    made = read(runs, "opts", "failing")
    assert (made["version"], made["tags"], made["job_variables"]) == ("v9", ["t1"], {"k": "v"})
    assert (made["work_queue_name"], made["schedules"][0]["schedule"]["cron"]) == ("slow", "0 1 * * *")
    assert made["global_concurrency_limit"]["limit"] == 1
    assert "nopool" in cli.fails("deploy", "flows.py:failing", "-n", "x", "-p", "nopool")
    cli("deployment", "delete", "failing/opts")


def test_inspect_and_lists(cli: WarmCli, deployed: dict[str, Json]) -> None:
    # As JSON the client can show only deployments without triggers: those have sets, which it does not convert.
    inspected = cli.json("deployment", "inspect", "cliflow/two")
    assert inspected["id"] == deployed["two"]["id"]
    assert inspected["work_pool_name"] == POOL
    assert deployed["one"]["id"] in cli("deployment", "inspect", "cliflow/one")
    assert "cliflow/two" in cli("deployment", "ls", "cliflow")
    ids = {item["id"] for item in cli.json("deployment", "ls", "--by-created")}
    assert ids == {item["id"] for item in deployed.values()}
    assert "cliflow" in {item["name"] for item in cli.json("flow", "ls")}
    assert "cliflow" in cli("flow", "ls")


def test_schedules(cli: WarmCli, runs: Runs, deployed: dict[str, Json], nobody: str) -> None:
    name, path = "cliflow/one", f"/deployments/{deployed['one']['id']}/schedules"

    def active() -> set[bool]:
        return {item["active"] for item in runs.get(path)}

    listed = cli.json("deployment", "schedule", "ls", name)
    assert {item["id"] for item in listed} == {item["id"] for item in runs.get(path)}
    (early,) = (item["id"] for item in runs.get(path) if item["slug"] == "early")
    cli("deployment", "schedule", "pause", name, early)
    assert active() == {False}
    cli("deployment", "schedule", "resume", "--all")
    assert active() == {True}
    cli("deployment", "schedule", "pause", "--all")
    assert active() == {False}
    rule = "FREQ=DAILY;COUNT=3"
    cli("deployment", "schedule", "create", name, "--rrule", rule, "--timezone", "Asia/Tokyo")
    assert len(runs.get(path)) == 3
    anchored = ("--interval", "60", "--anchor-date", "2030-01-01T00:00:00Z", "--no-active")
    cli("deployment", "schedule", "create", name, *anchored, "--replace", "-y")
    (only,) = runs.get(path)
    assert (only["schedule"]["interval"], only["active"]) == (60.0, False)
    for refused in (("--cron", "not a cron"), ("--interval", "-5")):
        cli.stumbles("deployment", "schedule", "create", name, *refused)
    for verb in (("pause",), ("resume",), ("delete", "-y")):
        cli.fails("deployment", "schedule", verb[0], name, nobody, *verb[1:])
    cli("deployment", "schedule", "clear", name, "-y")
    assert runs.get(path) == []
    assert "no/no" in cli.fails("deployment", "schedule", "clear", "no/no", "-y")


def test_run(cli: WarmCli, runs: Runs, deployed: dict[str, Json], nobody: str) -> None:
    options = ("--job-variable", 'env={"C": "3"}', "--tag", "tt", "--start-in", "in 1 hour")
    cli("deployment", "run", "cliflow/one", "--param", "n=4", *options, "--flow-run-name", "by-cli")
    (run,) = runs.flow_runs(name={"any_": ["by-cli"]})
    assert (run["parameters"], run["job_variables"]) == ({"n": 4}, {"env": {"C": "3"}})
    assert {"tt"} <= set(run["tags"])
    assert (run["state"]["type"], run["work_queue_name"]) == ("SCHEDULED", "fast")
    assert "n" in cli.fails("deployment", "run", "cliflow/one", "--params", '{"n": "not a number"}')
    assert "nope" in cli.fails("deployment", "run", "cliflow/one", "--param", "nope=1")
    assert "no/no" in cli.fails("deployment", "run", "no/no")
    assert nobody in cli.stumbles("deployment", "run", "--id", nobody)


def test_sdk_generate(cli: WarmCli, deployed: dict[str, Json], project: Path) -> None:
    cli("sdk", "generate", "--output", "generated.py")
    source = (project / "generated.py").read_text()
    assert "cliflow/one" in source
    compile(source, "generated.py", "exec")


def test_delete(cli: WarmCli, api: httpx.Client, deployed: dict[str, Json], nobody: str) -> None:
    cli("deployment", "delete", "cliflow/two")
    assert api.get("/deployments/name/cliflow/two").status_code == 404
    assert "cliflow/two" in cli.fails("deployment", "delete", "cliflow/two")
    assert nobody in cli.fails("deployment", "delete", "--id", nobody)
    cli("deployment", "delete", "--id", deployed["one"]["id"])
    cli("deployment", "delete", "--all")
    assert checked(api.post("/deployments/count", json={})) == 0
    assert "cliflow/one" in cli.fails("deployment", "inspect", "cliflow/one")
