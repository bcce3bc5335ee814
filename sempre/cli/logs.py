"""Logs of runs: all, the first, the last, and those that are still to come."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any

import typer

from sempre.cli.lists import any_of, pages
from sempre.cli.moments import local_time, parse_moment
from sempre.cli.output import fail, print_json
from sempre.cli.rest import Api, Json
from sempre.cli.states import FINAL

Head = Annotated[bool, typer.Option("--head", "-h", help="Only the first lines.")]
Tail = Annotated[bool, typer.Option("--tail", "-t", help="Only the last lines.")]
NumLogs = Annotated[
    int | None, typer.Option("--num-logs", "-n", min=1, help="How many lines --head and --tail show.  [default: 20]")
]
Reverse = Annotated[bool, typer.Option("--reverse", "-r", help="Latest first.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines until the run has ended.")]

_LINES = 20
_EVERY = 1.0
# Workers ship logs in batches, and those of several machines arrive in any order: so far back is looked again.
_OVERLAP = timedelta(seconds=15)
_LEVELS = ((50, "CRITICAL"), (40, "ERROR"), (30, "WARNING"), (20, "INFO"), (10, "DEBUG"))


def show_logs(
    api: Api,
    kind: str,
    run: Json,
    *,
    head: bool,
    tail: bool,
    num_logs: int | None,
    reverse: bool,
    follow: bool,
    as_json: bool,
) -> None:
    """Print logs of a run; `kind` is `flow_run` or `task_run`."""
    if head and tail:
        fail("Either --head or --tail, not both.", 2)
    if follow and (head or reverse):
        fail("--follow shows new lines as they come; it goes with --tail, not with --head or --reverse.", 2)
    limit = num_logs or (_LINES if head or tail else None)
    latest_first = tail or reverse
    body = {"logs": {f"{kind}_id": any_of(run["id"])}, "sort": f"TIMESTAMP_{'DESC' if latest_first else 'ASC'}"}
    if head and reverse:
        fail("Either --head or --reverse, not both.", 2)
    found: Iterator[Json] = pages(api, "/logs/filter", body, limit)
    # Only what the last lines are turned round for has to be read whole.
    lines = found if not tail or reverse else reversed(list(found))
    if follow:
        first = list(lines)
        tailing = LogTail(api, kind, run["id"], first)
        # Those a little before the last lines were not asked for.
        since = first[-1]["timestamp"] if tail and first else ""
        first += [line for line in tailing.new() if line["timestamp"] > since]
        _follow(api, f"/{kind}s/{run['id']}", tailing, first, as_json)
    elif as_json:
        print_json(list(lines))
    else:
        for line in lines:
            typer.echo(line_of(line))


def _follow(api: Api, path: str, tailing: LogTail, lines: list[Json], as_json: bool) -> None:
    ended = False
    while True:
        for line in lines:
            typer.echo(json.dumps(line) if as_json else line_of(line))
        if ended:
            return
        time.sleep(_EVERY)
        # Asked before its lines: what was logged before it ended is there by then.
        ended = (api.get(path).get("state_type") or "") in FINAL
        lines = tailing.new()


class LogTail:
    """The lines of a run that were not seen yet, whatever the order in which they arrive."""

    def __init__(self, api: Api, kind: str, run_id: str, seen: list[Json] | None = None) -> None:
        self._api, self._kind, self._run_id = api, kind, run_id
        self._seen: dict[str, str] = {line["id"]: line["timestamp"] for line in seen or ()}

    def new(self) -> list[Json]:
        """What came since the last call, by time."""
        criteria: dict[str, Any] = {f"{self._kind}_id": any_of(self._run_id)}
        if self._seen:
            since = max(map(parse_moment, self._seen.values())) - _OVERLAP
            criteria["timestamp"] = {"after_": since.isoformat()}
            self._seen = {key: at for key, at in self._seen.items() if parse_moment(at) >= since}
        body = {"logs": criteria, "sort": "TIMESTAMP_ASC"}
        fresh = [line for line in pages(self._api, "/logs/filter", body) if line["id"] not in self._seen]
        self._seen |= {line["id"]: line["timestamp"] for line in fresh}
        return fresh


def line_of(line: Json) -> str:
    """`time | LEVEL | message`, in the zone of this machine."""
    level = next((name for least, name in _LEVELS if line["level"] >= least), "NOTSET")
    return f"{local_time(line['timestamp'])} | {level:<8} | {line['message']}"
