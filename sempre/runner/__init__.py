"""Serving deployments from a process of one's own."""

from sempre.sdk.deploying.serving import aserve, serve
from sempre.sdk.serving.runner import Runner

__all__ = ["Runner", "aserve", "serve"]
