from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from sempre.cli.deploy_changes import Changes
from sempre.cli.errors import CliError
from sempre.sdk.deploying.project.file import add_deployment, find_project_file, read_project_file
from sempre.sdk.deploying.project.recipes import RECIPES, defaults, project_text
from sempre.sdk.deploying.project.selection import select
from sempre.sdk.errors import ConfigurationError

THERE = [
    {"name": "nightly", "entrypoint": "etl.py:load_all"},
    {"name": "hourly", "entrypoint": "etl.py:load_all", "flow_name": "loading"},
    {"name": "report", "entrypoint": "report.py:report"},
]


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["report"], ["report"]),
        (["load-all/*", "report/report"], ["nightly", "report"]),
        (["loading/hourly"], ["hourly"]),
        (["*ly"], ["nightly", "hourly"]),
        (["report", "nightly"], ["nightly", "report"]),
    ],
)
def test_names_and_patterns(names: list[str], wanted: list[str]) -> None:
    assert [each["name"] for each in select(THERE, names)] == wanted


def test_a_name_that_none_has() -> None:
    with pytest.raises(ConfigurationError, match="called weekly; there are nightly"):
        select(THERE, ["weekly", "nightly"])


@pytest.mark.parametrize("name", list(RECIPES))
def test_recipes_make_files_that_can_be_read(name: str, tmp_path: Path) -> None:
    recipe = RECIPES[name]
    fields = {**dict.fromkeys(recipe.fields, "given"), **defaults(tmp_path)}
    path = tmp_path / "sempre.yaml"
    path.write_text(project_text("mine", recipe, fields))
    found = read_project_file(path)
    assert (found.name, found.deployments, found.path) == ("mine", [], find_project_file(tmp_path))
    assert found.steps_of({}, "pull")
    commented = [line[2:] for line in path.read_text().splitlines() if line.startswith(("# -", "#   "))]
    example = yaml.safe_load("\n".join(commented))
    assert set(example[0]) >= {"name", "entrypoint", "work_pool", "schedules"}
    assert "{{{" not in path.read_text()
    if recipe.fields:
        with pytest.raises(ConfigurationError, match=recipe.fields[0]):
            project_text("mine", recipe, {})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("deployments: {a: 1}", "is a list"),
        ("deployments: [{name: a, entrypont: b}]", "entrypont"),
        ("deployments: [{name: a, work_pool: {nme: b}}]", "nme"),
        ("deployments: [{name: a, sla: [{severity: high}]}]", "not kept here"),
        ("pull: [{a: {}, b: {}}]", "pull: A step is one function"),
        ("{", "no YAML"),
        ("- a", "no project file"),
    ],
)
def test_slips_are_told(text: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "sempre.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=why):
        read_project_file(path)


def test_a_deployment_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "sempre.yaml"
    for version in ("1", "2"):
        add_deployment(path, {"name": "a", "entrypoint": "a.py:a", "version": version})
    add_deployment(path, {"name": "b", "entrypoint": "a.py:a"})
    assert [(each["name"], each.get("version")) for each in read_project_file(path).deployments] == [
        ("a", "2"),
        ("b", None),
    ]


def test_flags_change_what_a_file_says(tmp_path: Path) -> None:
    triggers = tmp_path / "triggers.yaml"
    triggers.write_text("triggers: [{expect: [a]}, {expect: [b]}]")
    written = {
        "name": "a",
        "schedule": {"cron": "0 1 * * *"},
        "parameters": {"x": 1, "y": 1},
        "work_pool": {"name": "p", "job_variables": {"image": "i", "cpu": 1}},
    }
    changes = Changes(
        work_queue="q", job_variables=["cpu=2"], version_type="vcs:git", interval=["1 hour"], timezone="Europe/Berlin",
        param=["x=2"], concurrency_limit=2, collision_strategy="cancel_new",
        triggers=['{"expect": ["c"]}', str(triggers)],
    )  # fmt: skip
    assert changes.onto(written) == {
        "name": "a",
        "version_type": "vcs:git",
        "schedules": [{"interval": 3600.0, "timezone": "Europe/Berlin"}],
        "parameters": {"x": 2, "y": 1},
        "work_pool": {"name": "p", "work_queue_name": "q", "job_variables": {"image": "i", "cpu": 2}},
        "concurrency_limit": {"limit": 2, "collision_strategy": "CANCEL_NEW"},
        "triggers": [{"expect": ["c"]}, {"expect": ["a"]}, {"expect": ["b"]}],
    }
    assert Changes().onto(written) == written
    assert not Changes()
    with pytest.raises(CliError, match="Only one of"):
        Changes(cron=["0 1 * * *"], interval=["60"]).onto({})
    assert Changes(tags=["a"], params="{}").flags == ["--tag", "--params"]
