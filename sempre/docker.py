"""Images that hold a flow's code."""

from sempre.sdk.deploying.images import DockerImage

__all__ = ["DockerImage"]
