"""Where a flow is found again: `file.py:name`, or `package.module:name`."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Any

from sempre.sdk.errors import ConfigurationError
from sempre.sdk.flows import Flow

__all__ = ["EntrypointType", "entrypoint_of"]


class EntrypointType(StrEnum):
    """How a deployment names its flow."""

    FILE_PATH = "file_path"
    MODULE_PATH = "module_path"


def entrypoint_of(flow: Flow[..., Any], kind: EntrypointType = EntrypointType.FILE_PATH) -> str:
    """The entrypoint of a flow, its file relative to the working directory if it lies below.

    Raises ConfigurationError for flows that no other process could find: inside of a function, or without a file.
    """
    if flow._entrypoint is not None:
        return flow._entrypoint
    name = _name(flow)
    module = getattr(flow.fn, "__module__", "") or ""
    if kind is EntrypointType.MODULE_PATH:
        return f"{_module_name(module)}:{name}"
    code = getattr(getattr(flow.fn, "__func__", flow.fn), "__code__", None)
    path = None if code is None else Path(code.co_filename)
    if path is None or not path.is_file():
        raise ConfigurationError(
            f"The flow {flow.name!r} is in no file, so no other process could load it. Write it into one."
        )
    path = path.absolute()
    here = Path.cwd()
    shown = path.relative_to(here) if path.is_relative_to(here) else path
    return f"{shown.as_posix()}:{name}"


def _name(flow: Flow[..., Any]) -> str:
    """What the flow is called in its module: a variable that holds this very flow, else its function's name."""
    fn = getattr(flow.fn, "__func__", flow.fn)
    for name, value in getattr(fn, "__globals__", {}).items():
        if value is flow:
            return str(name)
    qualified = str(getattr(fn, "__qualname__", flow.name))
    if "<locals>" in qualified:
        raise ConfigurationError(
            f"The flow {flow.name!r} is made inside of a function, where no other process finds it. Move it to the "
            "top of its module."
        )
    return qualified


def _module_name(module: str) -> str:
    if module != "__main__":
        return module
    main = sys.modules["__main__"]
    specification = getattr(main, "__spec__", None)
    if specification is not None:  # python -m package.module
        return str(specification.name)
    file = getattr(main, "__file__", None)
    if file is None:
        raise ConfigurationError("A flow of an interactive session is in no module; write it into one.")
    return Path(file).stem
