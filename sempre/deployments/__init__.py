"""Deployments: made from code, and their runs."""

from sempre.sdk.deploying.deploy import adeploy, deploy
from sempre.sdk.deploying.runner_deployment import RunnerDeployment
from sempre.sdk.deployment_runs import arun_deployment, run_deployment

__all__ = ["RunnerDeployment", "adeploy", "arun_deployment", "deploy", "run_deployment"]
