"""Deployments whose runs workers execute: sent to the server for a work pool, with or without an image of their own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from sempre.client import ObjectNotFound, get_client
from sempre.sdk.deploying.faces import awaitable, either
from sempre.sdk.deploying.images import DockerImage, split_reference
from sempre.sdk.deploying.runner_deployment import RunnerDeployment
from sempre.sdk.deploying.storages import LocalStorage
from sempre.sdk.errors import ConfigurationError

if TYPE_CHECKING:
    from sempre.schemas.work_pools import WorkPoolResponse

__all__ = ["adeploy", "deploy"]


def _deploy(
    *deployments: RunnerDeployment,
    work_pool_name: str | None = None,
    image: str | DockerImage | None = None,
    build: bool = True,
    push: bool = True,
    print_next_steps_message: bool = True,
    ignore_warnings: bool = False,
) -> list[UUID]:
    """Create or change deployments for a work pool (default: the setting); returns their ids.

    ``image`` is built and pushed first, unless not ``build`` or ``push``, and runs are executed in it, whatever image
    their job variables name. Without one the code comes from where the flows do (`Flow.from_source`); for pools that
    run containers there has to be either, for others the files of this machine will do. Nothing is deployed if the
    image cannot be built or pushed. Raises ConfigurationError, ImageError, the client's errors.
    """
    if not deployments:
        raise ConfigurationError("Say what to deploy: deploy(my_flow.to_deployment('a-name'), work_pool_name=...).")
    pool = _pool(work_pool_name)
    _check(pool, image)
    made = _image(image, build)
    for deployment in deployments:
        if made is None and deployment.storage is None and deployment.pull_steps is None:
            _settle_locally(deployment, pool, ignore_warnings)
    if made is not None and build:
        made.build()
    if made is not None and build and push:
        made.push()
    ids = []
    for deployment in deployments:
        if made is not None and deployment.storage is None and deployment.path is None:
            deployment.path = (made.code_path if build else None) or "."  # else the image's own working directory
        deployment.work_pool_name = pool.name
        ids.append(deployment._apply(image=None if made is None else made.reference))
    if print_next_steps_message:
        _tell(deployments, pool)
    return ids


deploy = either(_deploy)
adeploy = awaitable(_deploy)


def _image(asked: str | DockerImage | None, build: bool) -> DockerImage | None:
    """A name without a tag means a new image where one is built, the latest one elsewhere."""
    if asked is None or isinstance(asked, DockerImage):
        return asked
    return DockerImage(asked, tag=None if build or split_reference(asked)[1] else "latest")


def _pool(name: str | None) -> WorkPoolResponse:
    from sempre.settings import get_current_settings

    wanted = name or get_current_settings().deployments.default_work_pool_name
    if not wanted:
        raise ConfigurationError(
            "Say whose workers execute the runs: work_pool_name='...', or the setting "
            "SEMPRE_DEPLOYMENTS_DEFAULT_WORK_POOL_NAME."
        )
    try:
        return get_client(sync_client=True).read_work_pool(wanted)
    except ObjectNotFound:
        raise ConfigurationError(
            f"There is no work pool {wanted!r}. Create it: sempre work-pool create {wanted} --type process"
        ) from None


def _runs_images(pool: WorkPoolResponse) -> bool:
    variables = (pool.base_job_template or {}).get("variables") or {}
    return "image" in (variables.get("properties") or {})


def _check(pool: WorkPoolResponse, image: str | DockerImage | None) -> None:
    if image is not None and not _runs_images(pool):
        raise ConfigurationError(
            f"The work pool {pool.name!r} of type {pool.type!r} runs no images: its job template has no variable "
            "`image`. Deploy without one, or to another pool."
        )


def _settle_locally(deployment: RunnerDeployment, pool: WorkPoolResponse, ignore_warnings: bool) -> None:
    """The files of this machine, for pools whose workers may be on it."""
    if deployment.job_variables.get("image"):
        return
    if _runs_images(pool):
        raise ConfigurationError(
            f"Nothing says where the workers of {pool.name!r} get the code of {deployment.full_name!r}: give an "
            "image, or take the flow from a repository or storage by Flow.from_source(...)."
        )
    here = Path(os.getcwd())
    deployment.storage = LocalStorage(here)
    if not ignore_warnings:
        print(  # noqa: T201 (who deploys from a script looks at its output)
            f"{deployment.full_name}: workers of {pool.name!r} find the code in {here}, so they have to be on this "
            "machine.",
            flush=True,
        )


def _tell(deployments: Sequence[RunnerDeployment], pool: WorkPoolResponse) -> None:
    lines = [f"Deployed {deployment.full_name} to the work pool {pool.name!r}." for deployment in deployments]
    if not pool.type.endswith(":push") and not pool.type.endswith(":managed"):
        lines.append(f"Start a worker: sempre worker start --pool {pool.name!r}")
    lines.append(f"Start a run: sempre deployment run '{deployments[0].full_name}'")
    print("\n".join(lines), flush=True)  # noqa: T201
