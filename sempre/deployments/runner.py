"""Deployments before the server knows them."""

from sempre.sdk.deploying.deploy import adeploy, deploy
from sempre.sdk.deploying.entrypoints import EntrypointType
from sempre.sdk.deploying.images import DockerImage
from sempre.sdk.deploying.runner_deployment import RunnerDeployment

__all__ = ["DockerImage", "EntrypointType", "RunnerDeployment", "adeploy", "deploy"]
