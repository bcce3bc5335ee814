"""The command itself: two servers, and a table of what became of everything."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Annotated
from urllib.parse import unquote, urlsplit

import typer

from sempre.cli.connection import open_api, opened
from sempre.cli.errors import CliError
from sempre.cli.output import Output, fail, print_table, report, wants_json
from sempre.cli.rest import Api, Target
from sempre.cli.transfer.copying import DIFFERS, FAILED, RESULTS, Options, Outcome, transfer
from sempre.cli.transfer.kinds import KINDS
from sempre.client.headers import basic

app = typer.Typer()

_SHOWN = 20
_TITLES = [kind.title for kind in KINDS]


@app.command("transfer")
def command(
    source: Annotated[str, typer.Option("--from", help="A profile, or the address of an API: what is copied.")],
    target: Annotated[str, typer.Option("--to", help="A profile, or the address of an API: where it goes.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done and change nothing.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Change what is there and differs; otherwise it stays as it is.")
    ] = False,
    pause_schedules: Annotated[
        bool,
        typer.Option("--pause-schedules", help="Schedules arrive paused, so that two servers do not both run them."),
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option("--only", help=f"Only this kind ({', '.join(_TITLES)}); may be repeated.")
    ] = None,
    output: Output = None,
) -> None:
    """Copy what was set up on one server to another: blocks, work pools and queues, flows, variables, limits,
    deployments with their schedules, and automations. Either server may be a Prefect server.

    Examples: `sempre transfer --from old --to new --dry-run`,
    `sempre transfer --from http://prefect.example.com:4200/api --to new --pause-schedules`

    It can be interrupted and repeated: what is there already and equal is left alone. Runs, logs and events are not
    copied. Secrets in blocks are. Exit codes: 0 everything is there, 1 something could not be copied.
    """
    as_json = wants_json(output)
    unknown = sorted(set(only or ()) - set(_TITLES))
    if unknown:
        raise CliError(f"--only {', '.join(unknown)}: there are {', '.join(_TITLES)}.")
    options = Options(dry_run=dry_run, overwrite=overwrite, pause_schedules=pause_schedules, only=frozenset(only or ()))
    old, new = _server(source), _server(target)
    outcomes = list(transfer(old, new, options))
    counts = {kind: Counter(each.result for each in outcomes if each.kind == kind) for kind in _TITLES}
    document = {
        "from": old.url,
        "to": new.url,
        "dry_run": dry_run,
        "summary": {kind: {result: found[result] for result in RESULTS} for kind, found in counts.items()},
        "outcomes": [asdict(each) for each in outcomes],
    }
    report(as_json, document, lambda: _show(outcomes, counts, options))
    failed = [each for each in outcomes if each.result == FAILED]
    if failed:
        fail(f"{len(failed)} could not be copied. The same command goes on where it stopped.")


def _server(called: str) -> Api:
    """The API of a profile, or at an address, which may have a user and a password in it."""
    if "://" not in called:
        return open_api(called)
    parts = urlsplit(called.rstrip("/"))
    headers = {}
    if parts.username:
        headers["Authorization"] = basic(f"{unquote(parts.username)}:{unquote(parts.password or '')}")
    host = parts.netloc.rpartition("@")[2]
    return opened(Target(url=f"{parts.scheme}://{host}{parts.path}", headers=headers))


def _show(outcomes: list[Outcome], counts: dict[str, Counter[str]], options: Options) -> None:
    title = "What would be done" if options.dry_run else None
    rows = [(kind, *(str(found[result] or "") for result in RESULTS)) for kind, found in counts.items() if found]
    if not rows:
        typer.echo("There is nothing to copy.")
        return
    print_table(("Kind", *(result.capitalize() for result in RESULTS)), rows, title)
    for result, meaning in ((DIFFERS, "Left as they are; --overwrite changes them"), (FAILED, "Could not be copied")):
        found = [each for each in outcomes if each.result == result]
        if not found:
            continue
        typer.echo(f"\n{meaning}:")
        for each in found[:_SHOWN]:
            typer.echo(f"  {each.kind}: {each.name}" + (f": {each.reason}" if each.reason else ""))
        if len(found) > _SHOWN:
            typer.echo(f"  and {len(found) - _SHOWN} more (see -o json)")
