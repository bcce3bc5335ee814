"""`sempre.yaml`, read and added to. `prefect.yaml` is read as well, where it is the one that is there."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from sempre.sdk.deploying.options import NO_SLA
from sempre.sdk.deploying.project.keeping import with_deployment
from sempre.sdk.deploying.steps.running import StepError, parse_steps
from sempre.sdk.errors import ConfigurationError

__all__ = [
    "FILE_NAMES",
    "ProjectFile",
    "add_deployment",
    "find_project_file",
    "read_project_file",
    "write_project_file",
]

FILE_NAMES = ("sempre.yaml", "prefect.yaml")
_SECTIONS = ("build", "push", "pull")
_DEPLOYMENT = frozenset({
    "name", "version", "version_type", "tags", "description", "schedule", "schedules", "concurrency_limit", "flow_name",
    "entrypoint", "parameters", "enforce_parameter_schema", "paused", "work_pool", "triggers", "build", "push", "pull",
    "path",
})  # fmt: skip
_WORK_POOL = frozenset({"name", "work_queue_name", "job_variables"})


@dataclass
class ProjectFile:
    """The steps of all deployments, and the deployments; each may have steps of its own instead."""

    path: Path | None = None
    name: str | None = None
    steps: Mapping[str, Any] = field(default_factory=dict)
    deployments: list[dict[str, Any]] = field(default_factory=list)
    built: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Outputs of build and push steps that were run, by these steps as JSON."""

    def steps_of(self, deployment: Mapping[str, Any], section: str) -> Any:
        """The deployment's own steps of a section, else the file's; None if neither has the section."""
        return deployment[section] if deployment.get(section) is not None else self.steps.get(section)


def find_project_file(directory: Path | None = None) -> Path | None:
    """The project file of a directory (default: the working directory); None if it has none."""
    here = directory or Path.cwd()
    return next((here / name for name in FILE_NAMES if (here / name).is_file()), None)


def read_project_file(path: Path) -> ProjectFile:
    """Raises ConfigurationError for a file that cannot be read or understood, naming the place."""
    import yaml

    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is no text in UTF-8: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(_slip(path, error)) from None
    if not isinstance(told, Mapping):
        raise ConfigurationError(f"{path} is no project file: it has no `deployments`.")
    deployments = told.get("deployments") or []
    if not isinstance(deployments, list):
        raise ConfigurationError(f"{path}: `deployments` is a list.")
    steps = {section: told.get(section) for section in _SECTIONS}
    for section in _SECTIONS:
        _check_steps(path, section, steps[section])
    for number, each in enumerate(deployments, 1):
        _check(path, number, each)
    return ProjectFile(path, told.get("name"), steps, [dict(each) for each in deployments])


def _slip(path: Path, error: Exception) -> str:
    """Where a file is no YAML, as `file:line:column`, and what is wrong there."""
    mark, context = getattr(error, "problem_mark", None), getattr(error, "context", None)
    problem = getattr(error, "problem", None) or str(error)
    where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark is not None else str(path)
    return f"{where} is no YAML: {problem}{f' ({context})' if context else ''}."


def _check(path: Path, number: int, deployment: Any) -> None:
    if not isinstance(deployment, Mapping):
        raise ConfigurationError(f"{path}: deployment {number} is no mapping.")
    called = deployment.get("name") or f"number {number}"
    if "sla" in deployment:
        raise ConfigurationError(f"{path}: the deployment {called} has an sla; {NO_SLA}")
    _no_strange_keys(f"{path}: the deployment {called}", deployment, _DEPLOYMENT)
    pool = deployment.get("work_pool")
    if pool is not None and not isinstance(pool, Mapping):
        raise ConfigurationError(f"{path}: `work_pool` of {called} is a mapping with a `name`.")
    _no_strange_keys(f"{path}: the work_pool of {called}", pool or {}, _WORK_POOL)
    for section in _SECTIONS:
        _check_steps(path, f"{section} of {called}", deployment.get(section))


def _no_strange_keys(where: str, given: Mapping[str, Any], known: Iterable[str]) -> None:
    strange = sorted(set(map(str, given)) - set(known))
    if strange:
        raise ConfigurationError(
            f"{where} has {', '.join(strange)}, of which nothing is known; known are {', '.join(sorted(known))}."
        )


def _check_steps(path: Path, section: str, given: Any) -> None:
    try:
        parse_steps(given)
    except StepError as error:
        raise ConfigurationError(f"{path}: {section}: {error}") from None


def add_deployment(path: Path, deployment: Mapping[str, Any]) -> None:
    """Write a deployment into a project file, in place of the one with its name and entrypoint.

    The file is made if it is not there; of one that is, everything else stays as it was written, comments included.
    Raises ConfigurationError.
    """
    path = path.resolve()  # a link stays one
    text, number, newline = "", None, "\n"
    if path.exists():
        there = read_project_file(path).deployments  # what cannot be understood is not written over
        named = (deployment.get("name"), deployment.get("entrypoint"))
        same = (at for at, each in enumerate(there) if (each.get("name"), each.get("entrypoint")) == named)
        number = next(same, None)
        raw = path.read_bytes().decode("utf-8")
        newline = "\r\n" if "\r\n" in raw else "\n"
        text = raw.replace("\r\n", "\n")
    try:
        made = with_deployment(text, deployment, number)
    except ValueError as error:
        raise ConfigurationError(f"{path} is left as it is: {error}. Write the deployment into it by hand.") from None
    write_project_file(path, made.replace("\n", newline))


def write_project_file(path: Path, text: str) -> None:
    """All of it or nothing, whenever the process dies; who may read and write the file stays as it was."""
    beside = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with beside.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            beside.chmod(stat.S_IMODE(path.stat().st_mode))
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
