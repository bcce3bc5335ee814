"""Libraries of clusters, which are installed where tasks run on them."""

from __future__ import annotations

import importlib
from typing import Any

from sempre.sdk.errors import ConfigurationError

__all__ = ["cluster_library"]


def cluster_library(module: str, cluster: str) -> Any:
    """The module. Raises ConfigurationError, saying what to install, where it cannot be imported."""
    try:
        return importlib.import_module(module)
    except ImportError:
        needed = f"Tasks on {cluster} need {cluster}: pip install 'sempre[{cluster.lower()}]'."
        raise ConfigurationError(needed) from None
