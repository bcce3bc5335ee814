"""What a deployment leaves of the project file that it is written into: everything else."""

from __future__ import annotations

import difflib
import multiprocessing
import os
import signal
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sempre.sdk.deploying.project.file import add_deployment, read_project_file
from sempre.sdk.deploying.project.keeping import with_deployment
from sempre.sdk.errors import ConfigurationError

WRITTEN = """\
# Who changes this file tells the night shift.
name: "shop"   # quoted, and far from its comment

x-pool: &pool
  name:   my-pool   # the big one
  job_variables: {image:  "registry/etl"}

deployments:
  # The first of the night.
  - name: 'nightly'
    # Where it lies
    entrypoint: etl.py:etl  # at the top

    description: |
      Loads all.

      # not a comment
    tags: [a,  b] # of the team
    parameters:
      day: "yesterday"   # as text
      tries: 3
    schedules:
      - cron: "0 3 * * *" # before the shops open
        slug: night
    paused: yes

    # by the big pool
    work_pool: *pool
    # no more of it

  # And one that is told when.
  - <<: {version: "1"}
    name: hourly
    entrypoint: etl.py:etl
    work_pool: *pool

# Nothing below is about deployments.
pull: ~
"""


def changes(before: str, after: str) -> list[str]:
    """The lines that went and came, in the order of the file."""
    return [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[0] in "+-"]


def deployment(number: int, text: str = WRITTEN) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text)["deployments"][number]
    return found


def written(text: str, told: dict[str, Any], number: int | None) -> str:
    """The new text, which says what it has to and leaves the other deployments as they are."""
    made = with_deployment(text, told, number)
    there = (yaml.safe_load(text) or {}).get("deployments") or []
    at = len(there) if number is None else number
    assert yaml.safe_load(made)["deployments"] == [*there[:at], told, *there[at + 1 :]]
    return made


def test_what_is_the_same_is_not_touched() -> None:
    told = deployment(0)
    told["parameters"] = {"day": "today", "tries": 3}
    told["schedules"] = [*told["schedules"], {"cron": "0 4 * * *"}]
    told["concurrency_limit"] = 1
    assert changes(WRITTEN, written(WRITTEN, told, 0)) == [
        "-     tags: [a,  b] # of the team",
        "+     tags: [a, b]  # of the team",
        '-       day: "yesterday"   # as text',
        '+       day: "today"       # as text',
        "+       - cron: 0 4 * * *",
        "+     concurrency_limit: 1",
    ]


def test_comments_of_what_goes_go_with_it_and_no_others() -> None:
    told = deployment(0)
    del told["parameters"], told["tags"]
    gone = [line[2:].strip() for line in changes(WRITTEN, written(WRITTEN, told, 0))]
    assert gone == [
        "tags: [a,  b] # of the team",
        "parameters:",
        'day: "yesterday"   # as text',
        "tries: 3",
    ]


def test_a_new_one_comes_after_the_last_and_its_comments() -> None:
    told = {"name": "new", "entrypoint": "new.py:new", "version": "1.10", "description": "One.\n\nTwo.\n"}
    assert changes(WRITTEN, written(WRITTEN, told, None)) == [
        "+   - name: new",
        "+     entrypoint: new.py:new",
        "+     version: '1.10'",
        "+     description: |",
        "+       One.",
        "+ ",
        "+       Two.",
        "+ ",
    ]
    ends = "deployments:\n- name: a\n  entrypoint: a.py:a\n  # schedules: later\n# pull: nothing\nname: b\n"
    assert written(ends, {"name": "c"}, None) == ends.replace("# pull", "- name: c\n# pull")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "deployments:\n- name: a\n"),
        ("name: b", "name: b\ndeployments:\n- name: a\n"),
        ("deployments: [] # none yet\n# - name: x\n", "deployments: # none yet\n- name: a\n# - name: x\n"),
        ("deployments: # none yet\nname: b\n", "deployments: # none yet\n- name: a\nname: b\n"),
        ("deployments:\n  - name: x\n\n  - name: y\n# end\n",
         "deployments:\n  - name: x\n\n  - name: y\n\n  - name: a\n# end\n"),
        ("deployments: [{name: x}] # in one line\n", "deployments: [name: x, name: a] # in one line\n"),
    ],
)  # fmt: skip
def test_a_new_one_wherever_there_may_be_place(before: str, after: str) -> None:
    assert written(before, {"name": "a"}, None) == after


def test_others_keep_what_they_have_by_an_anchor() -> None:
    told = deployment(0)
    told["work_pool"] = {"name": "small", "job_variables": {"image": "other"}}
    made = written(WRITTEN, told, 0)
    assert "x-pool: &pool" in made
    assert made.count("*pool") == 1
    told = deployment(1)
    del told["version"]  # which it has by a merge key
    assert written(WRITTEN, told, 1).startswith(WRITTEN[: WRITTEN.index("  - <<")])


def test_an_anchor_that_goes_leaves_its_values_to_others() -> None:
    text = (
        "# top\ndeployments:\n- name: a\n  parameters: &all {x: 1} # both\n  paused: true\n"
        "- name: b # second\n  parameters: *all\n"
    )
    made = written(text, {"name": "a", "parameters": {"x": 2}, "paused": True}, 0)
    assert yaml.safe_load(made)["deployments"][1]["parameters"] == {"x": 1}
    assert made.startswith("# top")
    assert "# second" in made


def test_strings_of_several_lines() -> None:
    text = (
        "deployments:\n- name: a\n  description: >-\n    one\n    line\n  # why\n"
        '  version: "a \\\n    b"\n  tags: []\n- name: b\n  description: |+\n    c\n\n\nname: x\n'
    )
    told = {**deployment(0, text), "tags": ["t"]}
    made = written(text, told, 0)
    assert "description: >-\n    one\n    line\n  # why\n" in made
    assert made.endswith(text[text.index("- name: b") :])
    assert yaml.safe_load(written(text, {"name": "c"}, None))["name"] == "x"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
    | st.sampled_from(["yes", "12:30", "1e3", "0o7", "~", "# a", "a: b", "{{ x }}", "2024-01-01", "two\nlines", " a\n"])
    | st.text("ab:#-'\"\n {}[]&*!|>%@`", max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("pqrs"), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
DEPLOYMENTS = st.dictionaries(st.sampled_from(["tags", "parameters", "version", "schedules"]), VALUES)


@settings(deadline=None)
@given(DEPLOYMENTS, DEPLOYMENTS)
def test_whatever_it_says_is_read_as_that(before: dict[str, Any], after: dict[str, Any]) -> None:
    first, second, third = ({"name": name, **told} for name, told in (("a", before), ("b", after), ("c", after)))
    text = written(written("# top\nname: x # mine\n", first, None), second, None)
    text = written(written(text, third, 0), {"name": "b", **before}, 1)
    assert text.startswith("# top\nname: x # mine\n")


def test_links_line_ends_and_permissions_stay(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "prefect.yaml", tmp_path / "sempre.yaml"
    real.write_bytes(b"# mine\r\ndeployments:\r\n- name: a\r\n")
    real.chmod(0o640)
    link.symlink_to(real)
    add_deployment(link, {"name": "b", "entrypoint": "b.py:b"})
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert real.read_bytes() == b"# mine\r\ndeployments:\r\n- name: a\r\n- name: b\r\n  entrypoint: b.py:b\r\n"
    assert os.listdir(real.parent) == [real.name]


def die_while_writing(path: Path, at: str) -> None:
    """In a process of its own: killed by the system call of this name, before it does anything."""

    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(os, at, die)
    add_deployment(path, {"name": "b", "entrypoint": "b.py:b"})


@pytest.mark.parametrize("at", ["fsync", "chmod", "replace"])
def test_a_process_that_dies_leaves_the_old_file(at: str, tmp_path: Path) -> None:
    path = tmp_path / "sempre.yaml"
    path.write_text(WRITTEN)
    dying = multiprocessing.get_context("spawn").Process(target=die_while_writing, args=(path, at))
    dying.start()
    dying.join(60)
    assert dying.exitcode == -signal.SIGKILL
    assert path.read_text() == WRITTEN
    add_deployment(path, {"name": "b", "entrypoint": "b.py:b"})
    assert [each["name"] for each in read_project_file(path).deployments] == ["nightly", "hourly", "b"]


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("name: x\ndeployments:\n- name: a: b\n", "3:10", "mapping values are not allowed here"),
        ('name: x\npull: "a\n', "3:1", "found unexpected end of stream"),
        ("name: x\n\tpull: a\n", "2:1", "found character"),
        ("deployments: [*nobody]\n", "1:15", "undefined alias"),
    ],
)
def test_a_slip_is_told_with_its_line(text: str, where: str, what: str, tmp_path: Path) -> None:
    path = tmp_path / "sempre.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        add_deployment(path, {"name": "b", "entrypoint": "b.py:b"})
    assert str(refused.value).startswith(f"{path}:{where} is no YAML: ")
    assert what in str(refused.value)
    assert path.read_text() == text
