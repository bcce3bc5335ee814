"""One deployment of a project file, carried out: built, pushed, and made known to the server."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from sempre.client import ObjectNotFound, get_client
from sempre.sdk.deploying.project.file import ProjectFile
from sempre.sdk.deploying.runner_deployment import RunnerDeployment
from sempre.sdk.deploying.schedules import Schedule, schedule_of
from sempre.sdk.deploying.steps.placeholders import fill, from_environment, from_outputs, from_server
from sempre.sdk.deploying.steps.running import Step, parse_steps, run_steps
from sempre.sdk.deploying.storages import STEPS
from sempre.sdk.errors import ConfigurationError
from sempre.sdk.flows import Flow
from sempre.sdk.loading import load_flow_from_entrypoint

__all__ = ["Deployed", "carry_out"]

Say = Callable[[str], None]
_TEXTS = frozenset({"parameters", "description", "schedule", "schedules"})  # where other braces may be meant


@dataclass(frozen=True)
class Deployed:
    """A deployment that the server knows."""

    id: UUID
    name: str
    work_pool: str
    entrypoint: str


def carry_out(project: ProjectFile, described: Mapping[str, Any], say: Say) -> Deployed:
    """Run the build and push steps, then create or change the deployment, all from the working directory.

    ``say`` is told of each step. Raises ConfigurationError for what the description lacks, StepError, what loading the
    flow raises, and the client's errors.
    """
    name, entrypoint = described.get("name"), described.get("entrypoint")
    if not name:
        raise ConfigurationError(f"The deployment of {entrypoint or 'a flow'} has no name; say --name.")
    if not entrypoint:
        raise ConfigurationError(f"Nothing says which flow {name!r} is of: give it an `entrypoint`.")
    pool = _pool(described)
    outputs = _built(project, described, say)
    settled = _settled(described, outputs)
    flow = load_flow_from_entrypoint(str(entrypoint))
    deployment = _deployment(flow, settled, pool)
    deployment.pull_steps = _pull_steps(project, described, outputs, deployment)
    return Deployed(deployment._apply(), deployment.full_name, pool, str(entrypoint))


def _built(project: ProjectFile, described: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """Outputs of the build and push steps, which are run once for all deployments that have the same."""
    sections = {section: project.steps_of(described, section) for section in ("build", "push")}
    key = json.dumps(sections, sort_keys=True, default=str)
    if key not in project.built:
        outputs: dict[str, Any] = {}
        for section, steps in sections.items():
            outputs = run_steps(parse_steps(steps), outputs, before=_announce(section, say))
        project.built[key] = outputs
    return project.built[key]


def _announce(section: str, say: Say) -> Callable[[int, Step], None]:
    def begin(index: int, step: Step) -> None:
        say(f"{section.capitalize()}: {step.short_name}")

    return begin


def _pool(described: Mapping[str, Any]) -> str:
    from sempre.settings import get_current_settings

    given = (described.get("work_pool") or {}).get("name")
    name = fill(given, from_environment, from_server) or get_current_settings().deployments.default_work_pool_name
    if not name:
        raise ConfigurationError(
            f"Nothing says whose workers execute the runs of {described['name']!r}: say --pool, or give it "
            "`work_pool: {name: ...}`."
        )
    try:
        get_client(sync_client=True).read_work_pool(str(name))
    except ObjectNotFound:
        raise ConfigurationError(
            f"There is no work pool {name!r}. Create it: sempre work-pool create {name} --type process"
        ) from None
    return str(name)


def _settled(described: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
    """With placeholders filled in. In job variables only outputs of steps are: the rest may be secret, and is filled in
    by who starts a run. Steps of the pull section and triggers have placeholders of their own, and so may texts."""
    kept = {name: described[name] for name in ("pull", "build", "push", "triggers") if name in described}
    rest = {name: value for name, value in described.items() if name not in kept}
    pool = {**(rest.pop("work_pool", None) or {})}
    variables = fill(pool.pop("job_variables", None) or {}, from_outputs(outputs), keep=True)
    known = (from_outputs(outputs), from_environment, from_server)
    filled = {name: fill(value, *known, keep=name in _TEXTS) for name, value in rest.items()}
    return {**filled, **kept, "work_pool": {**fill(pool, *known), "job_variables": variables}}


def _deployment(flow: Flow[..., Any], settled: Mapping[str, Any], pool: str) -> RunnerDeployment:
    enforced = settled.get("enforce_parameter_schema")
    version = settled.get("version")
    return RunnerDeployment.from_flow(
        flow,
        str(settled["name"]),
        schedules=_schedules(settled),
        triggers=settled.get("triggers"),
        paused=settled.get("paused"),
        parameters=settled.get("parameters"),
        description=settled.get("description"),
        tags=settled.get("tags"),
        version=None if version is None else str(version),
        version_type=settled.get("version_type"),
        enforce_parameter_schema=True if enforced is None else bool(enforced),
        concurrency_limit=settled.get("concurrency_limit"),
        work_pool_name=pool,
        work_queue_name=settled["work_pool"].get("work_queue_name"),
        job_variables=settled["work_pool"]["job_variables"],
    )


def _schedules(settled: Mapping[str, Any]) -> list[Schedule]:
    """`schedules`, and `schedule` for one; an empty one is none."""
    given = [*(settled.get("schedules") or [])]
    if settled.get("schedule"):
        given.append(settled["schedule"])
    return [schedule_of(each) for each in given if each]


def _pull_steps(
    project: ProjectFile, described: Mapping[str, Any], outputs: Mapping[str, Any], deployment: RunnerDeployment
) -> list[dict[str, Any]]:
    """As they are written, but for outputs of build and push steps. Without any: this directory, unless an image has
    the code."""
    written = project.steps_of(described, "pull")
    if written is not None:
        return [dict(each) for each in fill(written, from_outputs(outputs), keep=True)]
    if deployment.job_variables.get("image"):
        return []
    return [{f"{STEPS}.set_working_directory": {"directory": str(Path.cwd())}}]
