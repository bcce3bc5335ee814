"""The command `prefect` of the image as a module."""

from __future__ import annotations

import functools
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from types import ModuleType

from tests.images.container import IMAGES

__all__ = ["prefect_name"]


@functools.cache
def prefect_name() -> ModuleType:
    """What `images/prefect` defines, nothing of it run."""
    loader = SourceFileLoader("prefect_name", str(IMAGES / "prefect"))
    specification = spec_from_loader(loader.name, loader)
    assert specification is not None
    module = module_from_spec(specification)
    loader.exec_module(module)
    return module
