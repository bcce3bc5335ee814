"""What can go wrong with containers."""

from __future__ import annotations

from sempre.workers.base import InfrastructureError

__all__ = ["ContainerError"]


class ContainerError(InfrastructureError):
    """A container could not be made or started, or the job template of the pool describes none."""
