"""Executing a flow run in a process of this machine, for commands that wait for its end."""

from __future__ import annotations

import os
import subprocess
import sys

import typer

from sempre.cli.output import print_json
from sempre.cli.rest import Api, Json
from sempre.cli.states import state_in_words

__all__ = ["execute_here"]


def execute_here(api: Api, run: Json, entrypoint: str, as_json: bool) -> int:
    """Execute a run with the flow of an entrypoint, from the working directory; the exit code: 0 only if it was run and
    completed. As JSON the run at its end is printed, and what it prints goes to standard error."""
    environment = {**os.environ, "SEMPRE_API_URL": api.url, "SEMPRE__FLOW_ENTRYPOINT": entrypoint}
    command = [sys.executable, "-m", "sempre.sdk.execute", run["id"]]
    sys.stdout.flush()
    subprocess.run(command, env=environment, stdout=sys.stderr if as_json else None, check=False)  # noqa: S603
    after = api.get(f"/flow_runs/{run['id']}")
    if as_json:
        print_json(after)
    was_run = after["run_count"] > run["run_count"]
    if was_run and after["state_type"] == "COMPLETED":
        return 0
    what = "is" if was_run else "was not run again, it is still"
    typer.echo(f"Flow run {after['name']!r} ({after['id']}) {what} {state_in_words(after)}.", err=True)
    return 1
