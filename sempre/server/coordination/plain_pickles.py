"""Docket pickles the arguments of tasks, and unpickling runs whatever code a pickle names. Ours have no arguments, so
nothing but plain data is unpickled: who may write to Redis may not run code here.
"""

import importlib
import pickle
from io import BytesIO
from typing import Any, NoReturn

__all__ = ["allow_plain_pickles_only", "plain"]


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"{module}.{name} is not plain data")


def plain(data: bytes) -> Any:
    """What was pickled, or nothing (which is no argument to any task) if that is not plain data."""
    try:
        return _Plain(BytesIO(data)).load()
    except Exception:  # whatever a forged pickle does
        return ()


class _PlainPickles:
    """In the place of the module that the library pickles with."""

    def __init__(self, module: Any) -> None:
        self.dumps = module.dumps
        self.loads = plain


def allow_plain_pickles_only() -> None:
    for name in ("docket.docket", "docket.execution"):
        module: Any = importlib.import_module(name)
        if hasattr(module, "cloudpickle"):
            module.cloudpickle = _PlainPickles(module.cloudpickle)
