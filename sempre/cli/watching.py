"""Following a flow run to its end, by asking: that outlives replicas that stop and streams that break."""

from __future__ import annotations

import time

import typer

from sempre.cli.logs import LogTail, line_of
from sempre.cli.moments import local_time
from sempre.cli.output import print_json
from sempre.cli.rest import Api, Json
from sempre.cli.states import FINAL, state_in_words

_EVERY = 1.0


def watch_run(
    api: Api, run: Json, *, timeout: float | None = None, as_json: bool = False, interval: float = _EVERY
) -> int:
    """Show states and logs of a run until it has ended; the exit code: 0 only if it completed.

    `timeout` and `interval` are seconds. As JSON only the run at its end is printed.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    tailing = LogTail(api, "flow_run", run["id"])
    shown: str | None = None
    while True:
        run = api.get(f"/flow_runs/{run['id']}")
        state = run.get("state") or {}
        # Read after the state: what was logged before a run ended is there when it has.
        lines = tailing.new() if not as_json else []
        for line in lines:
            typer.echo(line_of(line))
        if not as_json and state.get("id") != shown:
            typer.echo(_state_line(run, state))
            shown = state.get("id")
        if run.get("state_type") in FINAL:
            return _end(run, as_json)
        if deadline is not None and time.monotonic() >= deadline:
            if as_json:
                print_json(run)
            typer.echo(f"Flow run {run['name']!r} has not ended after {timeout:g} s; it goes on.", err=True)
            return 1
        pause = interval if deadline is None else max(0.0, min(interval, deadline - time.monotonic()))
        time.sleep(pause)


def _state_line(run: Json, state: Json) -> str:
    if not state:
        return f"Flow run {run['name']!r} has no state yet"
    return f"{local_time(state['timestamp'])} | {'STATE':<8} | {state_in_words(run)}"


def _end(run: Json, as_json: bool) -> int:
    if as_json:
        print_json(run)
    completed = run["state_type"] == "COMPLETED"
    if not completed:
        typer.echo(f"Flow run {run['name']!r} ({run['id']}) ended {state_in_words(run)}.", err=True)
    return 0 if completed else 1
