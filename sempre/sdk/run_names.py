"""Names of runs, made of a template or by a function of the user's."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["run_name"]


def run_name(maker: str | Callable[..., str] | None, parameters: Mapping[str, Any], default: str) -> str:
    """The name that ``maker`` makes of the parameters; ``default`` without one.

    A template has `{parameter}`s. A function that takes ``parameters`` gets them, any other nothing.
    Raises TypeError if the function returns no text, KeyError for a parameter that there is not.
    """
    if maker is None:
        return default
    if isinstance(maker, str):
        return maker.format(**parameters)
    wanted = inspect.signature(maker).parameters
    name = maker(parameters=dict(parameters)) if "parameters" in wanted else maker()
    if not isinstance(name, str):
        raise TypeError(f"The function that names runs has to return a text, not {type(name).__name__}.")
    return name
