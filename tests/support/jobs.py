"""Jobs as workers resolve them from the default job templates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sempre.core.job_variables import laid_over, without_nulls
from sempre.core.placeholders import MISSING, fill
from sempre.workers.configuration import JobConfiguration
from tests.support.prefect_env import ROOT

__all__ = ["default_template", "job"]

WORKER_TYPES = ROOT / "sempre/server/collections/worker_types.json"


def default_template(type: str) -> dict[str, Any]:
    for types in json.loads(WORKER_TYPES.read_text()).values():
        if type in types:
            template: dict[str, Any] = types[type]["default_base_job_configuration"]
            return template
    raise AssertionError(f"no template for {type}")


def job(
    type: str,
    variables: Mapping[str, Any] | None = None,
    *,
    configuration: Mapping[str, Any] | None = None,
    flow_run_id: UUID | None = None,
    worker_name: str = "Worker 1",
    env: Mapping[str, str] | None = None,
) -> JobConfiguration:
    """The job of a run of a pool; `variables` are the job variables, `configuration` another job configuration than
    the default one, `env` what the worker itself adds."""
    template = default_template(type)
    defaults = {
        name: schema["default"] for name, schema in template["variables"]["properties"].items() if "default" in schema
    }
    said = laid_over(defaults, variables)
    run_id = flow_run_id or uuid4()
    values = fill(configuration or template["job_configuration"], lambda name: said.get(name, MISSING))
    labels = {
        "prefect.io/flow-run-id": str(run_id),
        "prefect.io/flow-run-name": "brave-fox",
        "prefect.io/flow-id": str(uuid4()),
        "prefect.io/flow-name": "my flow: nightly!",
        "prefect.io/work-pool-name": "pool",
        "prefect.io/worker-name": worker_name,
    }
    own = {"PREFECT__FLOW_RUN_ID": str(run_id), **(env or {})}
    return JobConfiguration(
        flow_run_id=run_id,
        flow_run_name="brave-fox",
        folder=Path("/nonexistent"),
        name=said.get("name"),
        command=said.get("command"),
        env=without_nulls(laid_over({"env": own}, {"env": said.get("env") or {}})["env"]),
        labels={**labels, **(said.get("labels") or {})},
        values=values,
    )
