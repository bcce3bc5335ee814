"""Which of a file's deployments are meant by the names somebody typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from sempre.sdk.errors import ConfigurationError

__all__ = ["select"]


def select(deployments: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[Mapping[str, Any]]:
    """The deployments with these names, in the file's order. A name is `deployment` or `flow/deployment`; `*` stands
    for anything. Raises ConfigurationError for a name that none has."""
    unknown = [name for name in names if not any(matches(each, name) for each in deployments)]
    if unknown:
        there = ", ".join(str(each.get("name")) for each in deployments) or "none"
        raise ConfigurationError(f"No deployment is called {', '.join(unknown)}; there are {there}.")
    return [each for each in deployments if any(matches(each, name) for name in names)]


def matches(deployment: Mapping[str, Any], name: str) -> bool:
    flow, slash, called = name.rpartition("/")
    if not fnmatchcase(str(deployment.get("name") or ""), called):
        return False
    return not slash or any(fnmatchcase(known, flow) for known in flow_names(deployment))


def flow_names(deployment: Mapping[str, Any]) -> list[str]:
    """What the flow of a deployment may be called, as far as the file says: its name, else that of its function."""
    if deployment.get("flow_name"):
        return [str(deployment["flow_name"])]
    function = str(deployment.get("entrypoint") or "").rpartition(":")[2].rpartition(".")[2]
    return [function, function.replace("_", "-")]
