"""Running calls that were left by `task.delay(...)`."""

from sempre.sdk.background_tasks import aserve, serve

__all__ = ["aserve", "serve"]
