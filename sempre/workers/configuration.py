"""What is started for a flow run: the job template of the pool, with the job variables of deployment and run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

__all__ = ["JobConfiguration"]


@dataclass(frozen=True, kw_only=True)
class JobConfiguration:
    """Resolved, and ready to be started.

    `values` is the template's `job_configuration` with every placeholder resolved: keys whose placeholder has no value
    are not there. `env` and `labels` are complete: settings of the worker, attribution (`PREFECT__FLOW_RUN_ID`, ...;
    each also as `SEMPRE_...`), and over them what the job variables say; the same in `values` is what the job variables
    alone say. Labels are as they are, each type makes them fit what it labels. `command` is None where nothing names
    one.
    """

    flow_run_id: UUID
    flow_run_name: str
    name: str | None = None
    command: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stream_output(self) -> bool:
        """Whether what the run prints is copied to the worker's output."""
        return bool(self.values.get("stream_output", True))
