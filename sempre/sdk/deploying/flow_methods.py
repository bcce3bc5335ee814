"""What flows do to be deployed; the methods of :class:`~sempre.sdk.flows.Flow` that say so come here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from sempre.sdk.deploying.deploy import _deploy
from sempre.sdk.deploying.faces import awaitable, either
from sempre.sdk.deploying.images import DockerImage
from sempre.sdk.deploying.runner_deployment import RunnerDeployment
from sempre.sdk.deploying.serving import serve
from sempre.sdk.deploying.sources import flow_from_source
from sempre.sdk.flows import Flow

__all__ = ["adeploy", "afrom_source", "ato_deployment", "deploy", "from_source", "serve_flow", "to_deployment"]


def _deploy_flow(
    flow: Flow[..., Any],
    name: str,
    work_pool_name: str | None,
    image: str | DockerImage | None,
    build: bool,
    push: bool,
    print_next_steps: bool,
    ignore_warnings: bool,
    options: Mapping[str, Any],
) -> UUID:
    (id,) = _deploy(
        RunnerDeployment.from_flow(flow, name, **options),
        work_pool_name=work_pool_name,
        image=image,
        build=build,
        push=push,
        print_next_steps_message=print_next_steps,
        ignore_warnings=ignore_warnings,
    )
    return id


def serve_flow(
    flow: Flow[..., Any], name: str | None, global_limit: Any, running: dict[str, Any], options: Any
) -> None:
    called = Path(name).stem if name else flow.name
    serve(RunnerDeployment.from_flow(flow, called, concurrency_limit=global_limit, **options), **running)


to_deployment = either(RunnerDeployment.from_flow)
ato_deployment = awaitable(RunnerDeployment.from_flow)
deploy = either(_deploy_flow)
adeploy = awaitable(_deploy_flow)
from_source = either(flow_from_source)
afrom_source = awaitable(flow_from_source)
