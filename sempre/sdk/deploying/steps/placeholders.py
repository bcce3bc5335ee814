"""`{{ ... }}` in steps and project files: outputs of steps, the environment, variables and blocks of the server."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from sempre.core import placeholders
from sempre.sdk.errors import SempreException

__all__ = ["PlaceholderError", "Resolve", "fill", "from_environment", "from_outputs", "from_server"]

_OURS = ("prefect.", "sempre.")

Resolve = Callable[[str], Any]
"""The value of a name. Raises KeyError if the name is not its own to know."""


class PlaceholderError(SempreException):
    """A placeholder names nothing that there is."""


def fill(value: Any, *resolves: Resolve, keep: bool = False) -> Any:
    """The value with its placeholders replaced, each by the first that knows its name.

    A text that is one placeholder becomes the value itself, within other text it is shown as text. What nobody knows
    stays with ``keep``, else raises PlaceholderError.
    """

    def look_up(name: str) -> Any:
        for resolve in resolves:
            try:
                return resolve(name)
            except KeyError:
                continue
        if keep or name.startswith("."):  # a template of Go's, such as docker's
            return f"{{{{ {name} }}}}"
        raise PlaceholderError(
            f"Nothing is known of {{{{ {name} }}}}: it names neither the output of a step before it, nor a variable "
            "({{ sempre.variables.NAME }}), a block ({{ sempre.blocks.TYPE.NAME }}) or the environment ({{ $NAME }})."
        )

    return placeholders.fill(value, look_up)


def from_outputs(outputs: Mapping[str, Any]) -> Resolve:
    """`step-id.output`, or `output` alone for the last one of that name."""

    def resolve(name: str) -> Any:
        if name in outputs:
            return outputs[name]
        return _within(outputs, name.split("."))

    return resolve


def from_environment(name: str) -> Any:
    """`$NAME`; nothing is an empty text, as in a shell."""
    if not name.startswith("$"):
        raise KeyError(name)
    return os.environ.get(name[1:], "")


def from_server(name: str) -> Any:
    """`sempre.variables.NAME`, `sempre.blocks.TYPE.NAME` and `sempre.blocks.TYPE.NAME.KEY`.

    Raises PlaceholderError if there is no such thing.
    """
    from sempre.client import ObjectNotFound, get_client

    parts = name.split(".")
    if not name.startswith(_OURS) or len(parts) < 3:
        raise KeyError(name)
    client = get_client(sync_client=True)
    if parts[1] == "variables":
        variable = client.read_variable_by_name(".".join(parts[2:]))
        if variable is None:
            raise PlaceholderError(f"There is no variable {'.'.join(parts[2:])!r}, which {{{{ {name} }}}} names.")
        return variable.value
    if parts[1] != "blocks" or len(parts) < 4:
        raise KeyError(name)
    try:
        document = client.read_block_document_by_name(parts[3], parts[2], include_secrets=True)
    except ObjectNotFound:
        raise PlaceholderError(f"There is no block {parts[2]}/{parts[3]}, which {{{{ {name} }}}} names.") from None
    data: Any = document.data
    if len(parts) > 4:
        try:
            return _within(data, parts[4:])
        except KeyError:
            raise PlaceholderError(f"The block {parts[2]}/{parts[3]} has no {'.'.join(parts[4:])!r}.") from None
    return data["value"] if set(data) == {"value"} else data


def _within(value: Any, path: list[str]) -> Any:
    for part in path:
        if not isinstance(value, Mapping) or part not in value:
            raise KeyError(".".join(path))
        value = value[part]
    return value
