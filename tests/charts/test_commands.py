"""What containers run is what our command line understands: commands, options and their values."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.charts.cases import CASES, Case, objects_of
from tests.charts.commands import UsageError, calls, check_call, pods


@pytest.mark.parametrize("case", CASES, ids=str)
def test_commands_are_those_of_our_command_line(case: Case) -> None:
    found = [
        (container["name"], calls(container))
        for pod in pods(objects_of(case))
        for container in [*pod.get("initContainers", ()), *pod["containers"]]
    ]
    for _, each in found:
        for call in each:
            check_call(call)
    assert any(each for _, each in found)
    silent = {name for name, each in found if not each}
    if case.chart == "sempre-worker":
        assert silent == set(), "a container of the worker's chart that calls nothing of ours"


@pytest.mark.parametrize("case", [case for case in CASES if case.chart == "sempre-worker"], ids=str)
def test_a_worker_is_started_for_its_pool(case: Case) -> None:
    starts = [call for pod in pods(objects_of(case)) for container in pod["containers"] for call in calls(container)]
    assert starts
    for call in starts:
        assert call[:3] == ["prefect", "worker", "start"]
        options = dict(pairwise(call))
        assert options["--pool"]
        assert options["--type"] in ("kubernetes", "process")
        assert not options["--pool"].startswith("{{")


def test_a_pool_that_is_there_gets_the_template() -> None:
    case = next(case for case in CASES if str(case) == "sempre-worker-kubernetes")
    (pod,) = pods(objects_of(case))
    (update,) = [each for each in pod["initContainers"] if each["name"] == "update-base-job-template"]
    template = "/etc/sempre/baseJobTemplate.json"
    assert calls(update) == [
        ["prefect", "work-pool", "inspect", "test-pool"],
        ["prefect", "work-pool", "update", "test-pool", "--base-job-template", template],
    ]
    (mounted,) = [each["mountPath"] for each in update["volumeMounts"] if each["name"] == "base-job-template"]
    assert template.startswith(mounted)


def test_what_is_no_option_is_found() -> None:
    start = ["prefect", "worker", "start", "--pool", "a"]
    check_call(start)
    for wrong in (["--pools", "a"], ["--limit", "many"], ["--limit", "0"]):
        with pytest.raises(UsageError):
            check_call([*start, *wrong])
    with pytest.raises(KeyError):
        check_call(["sempre", "server", "services", "begin"])
    with pytest.raises(AssertionError):
        check_call(["prefect", "cloud", "login"])
