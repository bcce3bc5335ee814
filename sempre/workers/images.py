"""The image of runs that name none."""

from __future__ import annotations

__all__ = ["DEFAULT_IMAGE"]

# Both our command line and the stock one understand the command that workers give it.
DEFAULT_IMAGE = "prefecthq/prefect:3-latest"
