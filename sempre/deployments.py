"""Runs of deployments, started from code."""

from sempre.sdk.deployment_runs import arun_deployment, run_deployment

__all__ = ["arun_deployment", "run_deployment"]
