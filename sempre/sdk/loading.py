"""Flows by their entrypoints: `path/to/file.py:function` or `package.module:function`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

from sempre.sdk.errors import MissingFlowError, ScriptError
from sempre.sdk.flows import Flow

__all__ = ["load_flow_from_entrypoint", "load_object"]


def load_flow_from_entrypoint(entrypoint: str) -> Flow[..., Any]:
    """The flow at an entrypoint; `Class.method` is a name too. Files are found from the working directory.

    Raises MissingFlowError if there is none, ScriptError if its file cannot be executed.
    """
    found = load_object(entrypoint)
    if isinstance(found, Flow):
        if found._entrypoint is None:
            found._entrypoint = entrypoint
        return found
    raise MissingFlowError(
        f"What {entrypoint} names is no flow of Sempre but {type(found).__module__}.{type(found).__qualname__}; flows "
        "are functions below @flow, imported by `from sempre import flow`."
    )


def load_object(entrypoint: str) -> Any:
    """What an entrypoint names, whatever it is. Raises as :func:`load_flow_from_entrypoint`."""
    place, separator, name = entrypoint.rpartition(":")
    if not separator:
        place, separator, name = entrypoint.rpartition(".")
    if not place or not name:
        raise MissingFlowError(f"{entrypoint!r} is no entrypoint; one looks like flows.py:my_flow or flows:my_flow")
    found: Any = _file(Path(place)) if place.endswith(".py") else _module(place)
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is None:
        raise MissingFlowError(f"There is no {name!r} in {place}.")
    return found


def _file(path: Path) -> Any:
    path = path.absolute()
    if not path.is_file():
        raise MissingFlowError(f"There is no file {path}.")
    name = path.stem if path.stem.isidentifier() and path.stem not in sys.modules else f"sempre_flow_{abs(hash(path))}"
    specification = importlib.util.spec_from_file_location(name, path)
    if specification is None or specification.loader is None:
        raise MissingFlowError(f"{path} is no file of Python.")
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module  # pickled values name the module that their classes are in
    beside = str(path.parent)
    if beside not in sys.path:
        sys.path.insert(0, beside)
    try:
        specification.loader.exec_module(module)
    except Exception as error:
        sys.modules.pop(name, None)
        raise ScriptError(str(path), error) from error
    return module


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and name.startswith(error.name):
            raise MissingFlowError(f"There is no module {name!r}.") from None
        raise ScriptError(name, error) from error
    except Exception as error:
        raise ScriptError(name, error) from error
