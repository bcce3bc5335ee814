"""Tasks on Dask: here in threads of this process, and in a process of its own."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from sempre.sdk.errors import ConfigurationError, TerminationSignal
from sempre.sdk.flows import flow
from sempre.sdk.runners.clusters import cluster_library
from sempre.sdk.runners.dask_cluster import DaskTaskRunner
from sempre.sdk.tasks import task
from tests.support.wait import eventually
from tests.unit.sdk.fakes import FakeWorld
from tests.unit.sdk.spread import check, double

pytest.importorskip("distributed", reason="Dask is not installed")


def runner(**options: Any) -> DaskTaskRunner:
    return DaskTaskRunner(cluster_kwargs={"n_workers": 1, "threads_per_worker": 2, **options})


@pytest.mark.parametrize("processes", [False, True])
def test_tasks_on_a_cluster_of_the_run(world: FakeWorld, processes: bool) -> None:
    check(world, runner(processes=processes))


@task
def waits(begun: Path, end: Path) -> None:
    begun.touch()
    eventually(end.exists, "the test lets it end")


def test_a_cancelled_flow_does_not_begin_what_has_not_begun(world: FakeWorld, tmp_path: Path) -> None:
    begun, end = tmp_path / "begun", tmp_path / "end"

    @flow(task_runner=runner(processes=False, threads_per_worker=1))
    def cancelled() -> None:
        waits.submit(begun, end)
        eventually(begun.exists, "the task runs")
        double.submit(1)
        # The cluster is closed when its thread is free: after the flow has given up what waits for it.
        threading.Timer(1.0, end.touch).start()
        world.watches[0].cancelled = True
        raise TerminationSignal

    assert cancelled(return_state=True).is_cancelled()
    assert world.states("double") == ["Pending", "Crashed"]


def test_options_that_do_not_go_together() -> None:
    with pytest.raises(ValueError, match="one of"):
        DaskTaskRunner(address="tcp://x:1", cluster_class="distributed.LocalCluster")
    with pytest.raises(ValueError, match="cluster_kwargs"):
        DaskTaskRunner(address="tcp://x:1", cluster_kwargs={"n_workers": 1})


def test_a_cluster_without_its_library() -> None:
    assert cluster_library("distributed", "Dask").Client
    with pytest.raises(ConfigurationError, match=r"Tasks on Ray need Ray: pip install 'sempre\[ray\]'"):
        cluster_library("no_such_library", "Ray")
