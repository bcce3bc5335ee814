"""Jobs: the pool's template with the variables of deployment and run, for processes that know whose they are."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from sempre.client.client import Client
from sempre.client.errors import ObjectNotFound
from sempre.schemas.deployments import DeploymentResponse
from sempre.schemas.flow_runs import FlowRun
from sempre.schemas.flows import Flow
from sempre.schemas.work_pools import WorkPoolResponse
from sempre.settings.client import resolve_client_settings
from sempre.workers.configuration import JobConfiguration, JobContext, UnresolvedJob, resolve_job

ID = UUID(int=7)
WHEN = {"created": datetime(2026, 1, 1, tzinfo=UTC), "updated": datetime(2026, 1, 2, tzinfo=UTC)}
TEMPLATE = {
    "job_configuration": {
        "name": "{{ name }}", "env": "{{ env }}", "labels": "{{ labels }}", "command": "{{ command }}",
        "image": "{{ image }}", "manifest": {"cpu": "{{ cpu }}", "args": ["{{ extra }}", "--run={{ cpu }}"]},
        "credentials": "{{ credentials }}",
    },
    "variables": {
        "properties": {
            "name": {"default": None}, "env": {"default": {"A": "pool", "B": "pool"}}, "labels": {}, "command": {},
            "image": {"default": "pool:1"}, "cpu": {"default": 1}, "extra": {}, "credentials": {},
        }
    },
}  # fmt: skip


class Stored:
    """What the server keeps, in the client's place."""

    async def read_variable_by_name(self, name: str) -> Any:
        return SimpleNamespace(value={"tag": 3}) if name == "release" else None

    async def read_block_document_by_name(self, name: str, slug: str) -> Any:
        if (slug, name) == ("secret", "token"):
            return SimpleNamespace(data={"value": "hush"})
        if (slug, name) == ("database", "main"):
            return SimpleNamespace(data={"host": "db", "login": {"user": "me"}})
        raise ObjectNotFound("GET", "x", 404, "not there")

    async def read_block_document(self, id: str) -> Any:
        return SimpleNamespace(data={"id": id})


def job(deployed: dict[str, Any] | None = None, asked: dict[str, Any] | None = None, **env: str) -> JobConfiguration:
    context = JobContext(
        run=FlowRun(id=ID, **WHEN, name="calm-otter", flow_id=ID, deployment_id=ID, job_variables=asked),
        pool=WorkPoolResponse(id=ID, **WHEN, name="pool", type="process", base_job_template=TEMPLATE),
        flow=Flow(id=ID, **WHEN, name="etl"),
        deployment=DeploymentResponse(id=ID, **WHEN, name="nightly", flow_id=ID, job_variables=deployed or {}),
        worker_name="w",
        worker_id="process-1",
    )
    settings = resolve_client_settings({"SEMPRE_API_URL": "http://api:1/api", "SEMPRE_API_KEY": "key", **env}).settings
    return asyncio.run(resolve_job(cast(Client, Stored()), context, settings, Path("/claims/1")))


def test_runs_win_over_deployments_and_these_over_the_pool() -> None:
    found = job({"image": "mine:2", "env": {"B": "deployment"}}, {"env.C": 5, "env.A": None, "cpu": 2})
    assert found.values["image"] == "mine:2"
    assert found.values["manifest"] == {"cpu": 2, "args": ["--run=2"]}, "what has no value is left out"
    assert found.values["env"] == {"A": None, "B": "deployment", "C": 5}
    assert found.env["B"] == "deployment"
    assert found.env["C"] == "5"
    assert "A" not in found.env
    assert found.name == "calm-otter"
    assert found.command is None
    assert "command" not in found.values


def test_the_environment_says_which_api_and_which_run_in_both_spellings() -> None:
    env = job().env
    for prefix in ("SEMPRE", "PREFECT"):
        assert env[f"{prefix}_API_URL"] == "http://api:1/api"
        assert env[f"{prefix}_API_KEY"] == "key"
        assert env[f"{prefix}__FLOW_RUN_ID"] == str(ID)
        assert env[f"{prefix}__FLOW_NAME"] == "etl"
        assert env[f"{prefix}__DEPLOYMENT_NAME"] == "nightly"
        assert env[f"{prefix}__WORKER_NAME"] == "w"
        assert env[f"{prefix}__WORKER_ID"] == "process-1"
    assert env["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "30", "without heartbeats nobody misses a dead process"
    assert "SEMPRE_HOME" not in env
    assert "SEMPRE_WORKER_QUERY_SECONDS" not in env, "what nobody has set is nobody's to pass on"


def test_labels() -> None:
    labels = job({"labels": {"team": "data"}}).labels
    assert labels["team"] == "data"
    assert labels["prefect.io/flow-run-id"] == str(ID)
    assert labels["prefect.io/flow-run-name"] == "calm-otter"
    assert labels["prefect.io/deployment-updated"].startswith("2026-01-02")
    assert labels["prefect.io/worker-name"] == "w"


def test_what_the_server_keeps_is_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY", "reg")
    found = job(
        {
            "image": "{{ $REGISTRY }}/x:{{ prefect.variables.release }}",
            "credentials": {"$ref": {"block_document_id": "b1"}},
            "env": {
                "TOKEN": "{{ prefect.blocks.secret.token }}", "USER": "{{ prefect.blocks.database.main.login.user }}",
                "GONE": "{{ prefect.variables.gone }}", "OTHER": "{{ theirs }}",
            },
        },
        {"command": "run --all"},
    )  # fmt: skip
    assert found.values["image"] == "reg/x:{'tag': 3}"
    assert found.values["credentials"] == {"id": "b1"}
    assert found.env["TOKEN"] == "hush"
    assert found.env["USER"] == "me"
    assert "GONE" not in found.env
    assert found.env["OTHER"] == "{{ theirs }}"
    assert found.command_words == ["run", "--all"]


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"image": "{{ prefect.blocks.secret.gone }}"}, "no block secret/gone"),
        ({"image": "{{ prefect.blocks.database.main.port }}"}, "has no port"),
        ({"image": "{{ prefect.blocks.secret }}"}, "names no block"),
    ],
)
def test_what_is_missing_is_named(variables: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UnresolvedJob, match=complaint):
        job(variables)


def test_unbalanced_quotes_are_named() -> None:
    with pytest.raises(UnresolvedJob, match="cannot be read"):
        _ = job({"command": "a 'b"}).command_words
