"""What is started for a flow run: the job template of the pool, with the job variables of deployment and run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from sempre import __version__
from sempre.client.client import Client
from sempre.client.errors import ObjectNotFound
from sempre.core import placeholders
from sempre.core.job_variables import block_ids, command_words, laid_over, with_blocks, without_nulls
from sempre.schemas.deployments import DeploymentResponse
from sempre.schemas.flow_runs import FlowRun
from sempre.schemas.flows import Flow
from sempre.schemas.work_pools import WorkPoolResponse
from sempre.sdk.engine.related import related_to, with_tags
from sempre.sdk.serving.environment import attribution, settings_environment
from sempre.settings import ClientSettings

__all__ = ["JobConfiguration", "JobContext", "UnresolvedJob", "resolve_job"]

_BLOCKS = ("prefect.blocks.", "sempre.blocks.")
_VARIABLES = ("prefect.variables.", "sempre.variables.")
_LABELS = "prefect.io/"


class UnresolvedJob(Exception):
    """The job cannot be resolved; the text says what is missing or wrong."""


@dataclass(frozen=True, kw_only=True)
class JobConfiguration:
    """Resolved, and ready to be started.

    `values` is the template's `job_configuration` with every placeholder resolved: keys whose placeholder has no value
    are not there. `env` and `labels` are complete: settings of the worker, attribution (`PREFECT__FLOW_RUN_ID`, ...;
    each also as `SEMPRE_...`), and over them what the job variables say; the same in `values` is what the job variables
    alone say. Labels are as they are, each type makes them fit what it labels. `command` is None where nothing names
    one. `folder` is a directory of this claim alone on the worker's machine, kept until its end was reported, also
    across a restart of the worker. `related` is what events about the infrastructure name as related.
    """

    flow_run_id: UUID
    flow_run_name: str
    folder: Path
    name: str | None = None
    command: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    related: Sequence[Mapping[str, str]] = ()

    @property
    def stream_output(self) -> bool:
        """Whether what the run prints is copied to the worker's output."""
        return bool(self.values.get("stream_output", True))

    @property
    def command_words(self) -> list[str] | None:
        """The command as a list of words. Raises UnresolvedJob for unbalanced quotes."""
        try:
            return command_words(self.command)
        except ValueError as error:
            raise UnresolvedJob(f"The command {self.command!r} cannot be read: {error}.") from None


@dataclass(frozen=True, kw_only=True)
class JobContext:
    """What a job is made of. `flow` and `deployment` are None where they are not known."""

    run: FlowRun
    pool: WorkPoolResponse
    worker_name: str
    worker_id: str
    flow: Flow | None = None
    deployment: DeploymentResponse | None = None

    @property
    def related(self) -> list[dict[str, str]]:
        """Deployment, flow, run and pool as events name them, and the run's tags."""
        named = {"deployment": self.deployment, "flow": self.flow, "flow_run": self.run, "work_pool": self.pool}
        known = {role: (thing.id, thing.name) for role, thing in named.items() if thing is not None}
        return with_tags(related_to(**known), sorted(self.run.tags))


async def resolve_job(client: Client, context: JobContext, settings: ClientSettings, folder: Path) -> JobConfiguration:
    """The job of a run. Raises UnresolvedJob, and the client's errors."""
    template = context.pool.base_job_template or {}
    described = template.get("variables")
    properties = described.get("properties") if isinstance(described, Mapping) else None
    defaults = {
        name: part["default"]
        for name, part in (properties or {}).items()
        if isinstance(part, Mapping) and "default" in part
    }
    deployed = context.deployment.job_variables if context.deployment else None
    variables = laid_over(defaults, deployed, context.run.job_variables)
    variables = await _with_blocks(client, variables)
    values = placeholders.fill(template.get("job_configuration") or {}, lambda name: _variable(name, variables))
    values = await _with_stored(client, values)
    env, labels = values.get("env"), values.get("labels")
    return JobConfiguration(
        flow_run_id=context.run.id,
        flow_run_name=context.run.name,
        folder=folder,
        name=values.get("name") or context.run.name,
        command=_command_text(values.get("command")),
        env=environment_of(context, settings, env if isinstance(env, Mapping) else {}),
        labels={**labels_of(context), **(without_nulls(labels) if isinstance(labels, Mapping) else {})},
        values=values,
        related=context.related,
    )


def environment_of(context: JobContext, settings: ClientSettings, own: Mapping[str, Any]) -> dict[str, str]:
    """Settings of the worker, attribution, and over them the `env` of the job, in which null takes a name away."""
    run, deployment = context.run, context.deployment
    return without_nulls(
        {
            **settings_environment(settings),
            **attribution(
                flow_run_id=run.id,
                flow_id=run.flow_id,
                flow_name=context.flow.name if context.flow else None,
                deployment_id=run.deployment_id,
                deployment_name=deployment.name if deployment else None,
                worker_id=context.worker_id,
                worker_name=context.worker_name,
            ),
            **own,
        }
    )


def labels_of(context: JobContext) -> dict[str, str]:
    """Which run the infrastructure is for, and who started it."""
    run, deployment = context.run, context.deployment
    known = {
        "flow-run-id": run.id,
        "flow-run-name": run.name,
        "version": __version__,
        "flow-id": run.flow_id,
        "flow-name": context.flow.name if context.flow else None,
        "deployment-id": run.deployment_id,
        "deployment-name": deployment.name if deployment else None,
        "deployment-updated": deployment.updated.isoformat() if deployment and deployment.updated else None,
        "work-pool-id": context.pool.id,
        "work-pool-name": context.pool.name,
        "worker-name": context.worker_name,
    }
    return {f"{_LABELS}{key}": str(value) for key, value in known.items() if value is not None}


def _command_text(command: Any) -> str | None:
    if isinstance(command, list | tuple):
        import shlex

        return shlex.join(str(word) for word in command) or None
    return str(command) if command else None


def _variable(name: str, variables: Mapping[str, Any]) -> Any:
    """A job variable, or with a dollar the worker's environment. What is stored on the server is filled in later."""
    if name.startswith("$"):
        return os.environ.get(name[1:], placeholders.MISSING)
    if name.startswith((*_BLOCKS, *_VARIABLES)):
        return f"{{{{ {name} }}}}"
    return variables.get(name, placeholders.MISSING)


# --- what the server keeps -----------------------------------------------------------------------------


async def _with_blocks(client: Client, variables: dict[str, Any]) -> dict[str, Any]:
    blocks = {}
    for id in sorted(block_ids(variables)):
        try:
            blocks[id] = (await client.read_block_document(id)).data
        except ObjectNotFound:
            raise UnresolvedJob(f"The block document {id} that the job variables refer to does not exist.") from None
    filled: dict[str, Any] = with_blocks(variables, blocks)
    return filled


async def _with_stored(client: Client, values: Any) -> Any:
    """Values of blocks and variables, by name, and the environment again, in what job variables brought in."""
    found: dict[str, Any] = {}
    for name in sorted(placeholders.names(values)):
        if name.startswith("$"):
            found[name] = os.environ.get(name[1:], placeholders.MISSING)
        elif name.startswith(_VARIABLES):
            found[name] = await _stored_variable(client, name)
        elif name.startswith(_BLOCKS):
            found[name] = await _stored_block(client, name)
        else:  # somebody else's braces
            found[name] = f"{{{{ {name} }}}}"
    return placeholders.fill(values, found.__getitem__) if found else values


async def _stored_variable(client: Client, name: str) -> Any:
    variable = await client.read_variable_by_name(name.split(".", 2)[2])
    return placeholders.MISSING if variable is None else variable.value


async def _stored_block(client: Client, name: str) -> Any:
    parts = name.split(".")[2:]
    if len(parts) < 2:
        raise UnresolvedJob(f"{{{{ {name} }}}} names no block; one looks like prefect.blocks.secret.my-token.")
    slug, document, *path = parts
    try:
        data: Any = (await client.read_block_document_by_name(document, slug)).data
    except ObjectNotFound:
        raise UnresolvedJob(f"There is no block {slug}/{document}, which {{{{ {name} }}}} asks for.") from None
    if not path and isinstance(data, Mapping) and set(data) == {"value"}:
        return data["value"]
    for part in path:
        if not isinstance(data, Mapping) or part not in data:
            raise UnresolvedJob(f"The block {slug}/{document} has no {'.'.join(path)}.")
        data = data[part]
    return data
