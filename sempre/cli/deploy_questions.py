"""What `sempre deploy` asks somebody who sits at a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from sempre.cli.connection import open_api
from sempre.cli.errors import CliError
from sempre.cli.lists import read_list

__all__ = ["asks", "choose", "offer_to_keep", "question_entrypoint", "question_name", "question_pool"]


def asks(never: bool) -> bool:
    """Whether there is somebody to ask."""
    wanted = os.environ.get("SEMPRE__PROMPT")
    return not never and wanted != "false" and (wanted == "true" or sys.stdin.isatty())


def choose(deployments: Sequence[dict[str, Any]]) -> dict[str, Any]:
    for number, each in enumerate(deployments, 1):
        typer.echo(f"{number:>3}  {each.get('name')}  ({each.get('entrypoint')})")
    picked: int = typer.prompt("Which one", type=int)
    if not 1 <= picked <= len(deployments):
        raise CliError(f"There is no number {picked}.")
    return deployments[picked - 1]


def question_entrypoint() -> str:
    return str(typer.prompt("Which flow (FILE:FLOW)"))


def question_name() -> str:
    return str(typer.prompt("What is the deployment called", default="default"))


def question_pool() -> str | None:
    """A work pool of the server; None if the setting says which."""
    from sempre.cli.connection import client_settings

    if client_settings().deployments.default_work_pool_name:
        return None
    pools = [pool["name"] for pool in read_list(open_api(), "/work_pools/filter", {}, 100)]
    if not pools:
        raise CliError("There is no work pool yet. Create one: sempre work-pool create NAME --type process")
    return str(typer.prompt(f"Which work pool ({', '.join(pools)})", default=pools[0]))


def offer_to_keep(path: Path | None, described: Mapping[str, Any]) -> None:
    """Into the project file, so that next time `sempre deploy -n NAME` is enough."""
    from sempre.sdk.deploying.project.file import FILE_NAMES, add_deployment

    file = path or Path.cwd() / FILE_NAMES[0]
    if typer.confirm(f"Keep this deployment in {file.name}?", default=True):
        add_deployment(file, described)
        typer.echo(f"Deploy it again with: sempre deploy -n {described['name']!r}")
