"""How deployments name their flows."""

from sempre.sdk.deploying.entrypoints import EntrypointType

__all__ = ["EntrypointType"]
