"""Steps, one after the other, each with the outputs of those before."""

from __future__ import annotations

import asyncio
import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sempre.sdk.deploying.steps.placeholders import fill, from_environment, from_outputs, from_server
from sempre.sdk.errors import SempreException

__all__ = ["Step", "StepError", "parse_steps", "run_steps", "step_function"]

_HERE = "sempre.sdk.deploying.steps"
_BUILT_IN = {
    "set_working_directory": f"{_HERE}.working_directory",
    "git_clone": f"{_HERE}.git_clone",
    "run_shell_script": f"{_HERE}.shell",
    "pip_install_requirements": f"{_HERE}.shell",
    "pull_from_remote_storage": f"{_HERE}.remote",
    "pull_with_block": f"{_HERE}.remote",
    "push_to_remote_storage": f"{_HERE}.remote",
    "pull_from_s3": f"{_HERE}.object_stores",
    "push_to_s3": f"{_HERE}.object_stores",
    "pull_from_gcs": f"{_HERE}.object_stores",
    "push_to_gcs": f"{_HERE}.object_stores",
    "pull_from_azure_blob_storage": f"{_HERE}.object_stores",
    "push_to_azure_blob_storage": f"{_HERE}.object_stores",
    "build_docker_image": f"{_HERE}.docker_images",
    "push_docker_image": f"{_HERE}.docker_images",
}
# Packages whose steps are these, by the last part of their name. They are never imported.
_COMPATIBLE = (
    "prefect.deployments.steps", "prefect.projects.steps", "prefect_aws.", "prefect_azure.", "prefect_docker.",
    "prefect_gcp.", "sempre.deployments.steps",
)  # fmt: skip


class StepError(SempreException):
    """A step cannot be understood, or failed."""


@dataclass(frozen=True)
class Step:
    """What a step calls, with which inputs; ``id`` is what later steps call its outputs by."""

    name: str
    inputs: Mapping[str, Any]
    id: str | None = None

    @property
    def short_name(self) -> str:
        return self.name.rpartition(".")[2]


def parse_steps(given: Any) -> list[Step]:
    """Steps as project files and deployments have them: each a mapping of one function to its inputs.

    Raises StepError.
    """
    if given is None:
        return []
    if isinstance(given, Mapping) or not isinstance(given, Iterable) or isinstance(given, str):
        raise StepError("Steps are a list; each item is the name of a function with its inputs below.")
    return [_parse(each) for each in given]


def _parse(given: Any) -> Step:
    if not isinstance(given, Mapping) or len(given) != 1:
        raise StepError(f"A step is one function with its inputs below, not {given!r}.")
    ((name, inputs),) = given.items()
    if inputs is not None and not isinstance(inputs, Mapping):
        raise StepError(f"The inputs of the step {name} are names and values, not {inputs!r}.")
    told = dict(inputs or {})
    told.pop("requires", None)  # a step that is not there says so itself
    id = told.pop("id", None)
    return Step(str(name), told, None if id is None else str(id))


def run_steps(
    steps: Iterable[Step],
    outputs: Mapping[str, Any] | None = None,
    before: Callable[[int, Step], None] | None = None,
    after: Callable[[int, Step], None] | None = None,
) -> dict[str, Any]:
    """Run the steps; returns their outputs by their ids, and each output by its own name (the last of that name).

    ``before`` and ``after`` are told of each step. Raises StepError with what went wrong in which step.
    """
    known = dict(outputs or {})
    for index, step in enumerate(steps):
        if before is not None:
            before(index, step)
        output = _run(step, known)
        if isinstance(output, Mapping):
            known.update(output)
        if step.id is not None:
            known[step.id] = output
        if after is not None:
            after(index, step)
    return known


def _run(step: Step, known: Mapping[str, Any]) -> Any:
    function = step_function(step.name)
    try:
        inputs = fill(step.inputs, from_outputs(known), from_environment, from_server)
        output = function(**inputs)
        return asyncio.run(_wait(output)) if inspect.isawaitable(output) else output
    except Exception as error:
        raise StepError(f"The step {step.short_name} failed: {error}") from error


async def _wait(output: Any) -> Any:
    return await output


def step_function(name: str) -> Callable[..., Any]:
    """What a dotted name calls: one of Sempre's own steps, or a function of the user's. Raises StepError."""
    module, _, short = name.rpartition(".")
    if name.startswith(_COMPATIBLE):
        if short not in _BUILT_IN:
            raise StepError(f"There is no step {short!r}; there are {', '.join(_BUILT_IN)}.")
        module = _BUILT_IN[short]
    try:
        found = getattr(importlib.import_module(module), short)
    except (ImportError, AttributeError, ValueError) as error:
        raise StepError(f"The step {name} is nowhere to be found: {error}") from error
    if not callable(found):
        raise StepError(f"The step {name} is no function.")
    return found  # type: ignore[no-any-return]
