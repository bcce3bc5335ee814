"""A worker's rendered environment means what the values say: our settings are made from it, outside of a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sempre.settings.client import describe as describe_client
from sempre.settings.client import resolve_client_settings
from sempre.settings.listing import all_names
from sempre.workers.kubernetes.settings import describe as describe_kubernetes
from sempre.workers.kubernetes.settings import resolve as resolve_kubernetes
from tests.charts.cases import CASES, Case, objects_of
from tests.charts.commands import pods
from tests.charts.test_environment import environment

Json = dict[str, Any]
WORKERS = [case for case in CASES if case.chart == "sempre-worker"]
# Not settings of ours: the image's, and one that only stock workers read, which may run in this chart, too.
ELSEWHERE = {"HOME", "PREFECT_KUBERNETES_CLUSTER_UID"}


def _environments(case: Case, home: Path) -> dict[str, dict[str, str]]:
    """By pool, of every container that the chart makes."""
    things = objects_of(case)
    found = {}
    for pod in pods(things):
        (worker,) = pod["containers"]
        pool = worker["args"][worker["args"].index("--pool") + 1]
        for initial in pod.get("initContainers", ()):
            assert initial["env"] == worker["env"], "the same API for both"
        found[pool] = {**environment(worker, things), "SEMPRE_HOME": str(home)}
    return found


@pytest.mark.parametrize("case", WORKERS, ids=str)
def test_every_name_is_a_setting_and_every_value_one_of_it(case: Case, tmp_path: Path) -> None:
    known = all_names(describe_client()) | all_names(describe_kubernetes()) | ELSEWHERE
    for pool, env in _environments(case, tmp_path).items():
        assert set(env) <= known, f"{pool}: {sorted(set(env) - known)} mean nothing to us"
        settings = resolve_client_settings(env).settings
        assert settings.api.url
        assert "{{" not in settings.api.url
        assert (settings.worker.query_seconds, settings.worker.prefetch_seconds) == (5, 10)
        resolve_kubernetes(env)


def test_values_arrive(tmp_path: Path) -> None:
    by_name = {case.name: _environments(case, tmp_path) for case in WORKERS}
    hosted = resolve_client_settings(by_name["cloud"]["jobs"]).settings
    assert hosted.api.url == "https://api.prefect.cloud/api/accounts/5d0e7e36/workspaces/9a1c22"
    assert hosted.api.key == "an-api-key"
    kubernetes = resolve_kubernetes(by_name["cloud"]["jobs"])
    assert kubernetes.worker.create_secret_for_api_key
    assert kubernetes.observer.namespaces == ()  # all of them
    own = by_name["kubernetes"]["test-pool"]
    settings = resolve_client_settings(own).settings
    assert settings.api.url == "http://prefect-server.flows.svc.cluster.local:4200/api"
    assert settings.api.auth_string == "admin:secret"
    kubernetes = resolve_kubernetes(own)
    assert kubernetes.worker.api_auth_string_secret_name == "auth"
    assert kubernetes.worker.api_auth_string_secret_key == "auth-string"
    assert kubernetes.observer.namespaces == ("flows",)
    pools = by_name["pools"]
    assert resolve_client_settings(pools["default"]).settings.api.auth_string == "worker:secret"
    assert resolve_kubernetes(pools["jobs"]).observer.namespaces == ("runs",)
