"""`sempre canary`: whether an installation works, from one end to the other."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sempre.cli.connection import open_api
from sempre.cli.errors import CliError
from sempre.cli.output import Output, print_table, report, wants_json, warn

if TYPE_CHECKING:
    from sempre.canary.canary import Canary, Outcome

app = typer.Typer(no_args_is_help=True, help="Check an installation from one end to the other.")

_COLOURS = {"passed": typer.colors.GREEN, "skipped": typer.colors.YELLOW}
_Only = Annotated[list[str] | None, typer.Option("--only", help="Only these, with commas; may be repeated.")]
_Skip = Annotated[list[str] | None, typer.Option("--skip", help="Not these, with commas; may be repeated.")]
_Quick = Annotated[bool, typer.Option("--quick", help="Leave out those that take a minute or more.")]
_Timeout = Annotated[
    float | None, typer.Option("--timeout", "-t", min=1, help="Longest for one canary, in seconds, instead of its own.")
]
_ApiUrl = Annotated[
    str | None, typer.Option("--api", help="Address of the API, such as http://host:4200/api. [SEMPRE_API_URL]")
]
_Auth = Annotated[
    str | None, typer.Option("--auth-string", help="`user:password` for the API. [SEMPRE_API_AUTH_STRING]")
]


@app.command()
def run(
    only: _Only = None,
    skip: _Skip = None,
    quick: _Quick = False,
    timeout: _Timeout = None,
    at_once: Annotated[int, typer.Option("--at-once", min=1, help="How many are played at a time.")] = 8,
    api: _ApiUrl = None,
    auth_string: _Auth = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="Write a report for CI into this file, too.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the log lines of the flows that run.")] = False,
    output: Output = None,
) -> None:
    """Play canaries once and say how each ended. Works with any server of the protocol.

    Examples: `sempre canary run`, `sempre canary run --only hello,zombies --timeout 30 -o json`

    They run flows in this process, under names of their own, and remove all they made. Exit codes: 0 all passed, 1 one
    did not, or the API cannot be used, 130 interrupted. What a server cannot do at all is skipped, with the reason.
    """
    as_json = wants_json(output)
    chosen = _chosen(only, skip, quick)
    url = _use(api, auth_string, timeout, verbose)
    from sempre.canary.playing import play_all
    from sempre.canary.reports import as_document, as_junit

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.monotonic()
    outcomes = play_all(chosen, seconds=timeout, at_once=at_once, ended=_say)
    took = time.monotonic() - began
    if junit:
        junit.write_bytes(as_junit(outcomes, took))
    report(as_json, as_document(url, outcomes, took), lambda: _show(outcomes, took))
    if any(outcome.failed for outcome in outcomes):
        raise typer.Exit(1)


@app.command()
def serve(
    only: _Only = None,
    skip: _Skip = None,
    quick: _Quick = False,
    timeout: _Timeout = None,
    every: Annotated[float, typer.Option("--every", min=1, help="Seconds between two runs of one canary.")] = 300,
    limit: Annotated[int, typer.Option("--limit", "-l", min=1, help="How many are played at a time.")] = 4,
    alert: Annotated[
        str | None,
        typer.Option("--alert", metavar="TYPE/NAME", help="A notification block to tell of failures by."),
    ] = None,
    api: _ApiUrl = None,
    auth_string: _Auth = None,
) -> None:
    """Play canaries by schedule, for ever: a deployment each, whose runs fail when the canary does.

    Examples: `sempre canary serve --every 600`, `sempre canary serve --alert slack-webhook/on-call`

    Each run also emits `sempre.canary.passed` or `sempre.canary.failed` about `sempre.canary.NAME`. With `--alert` two
    automations are made, or brought up to date, that tell of canaries that fail, and of those that no longer pass. Any
    number of copies may serve one installation. The first SIGTERM or Ctrl-C lets those that play end and pauses the
    schedules, the second ends them. Exit codes: 0 stopped as asked, 1 the API cannot be used.
    """
    chosen = _chosen(only, skip, quick)
    url = _use(api, auth_string, timeout, verbose=True)
    from sempre.canary.serving import UnknownBlockError, keep_alerts, play_by_schedule
    from sempre.client import ClientError

    try:
        if alert:
            keep_alerts(alert, every)
        typer.echo(
            f"Playing {len(chosen)} canaries every {every:g} s on {url}. Their runs are those of the flow `canary`."
        )
        play_by_schedule(chosen, every=every, limit=limit, seconds=timeout)
    except UnknownBlockError as error:
        raise CliError(str(error)) from None
    except ClientError as error:
        raise CliError(f"The deployments of the canaries could not be made: {error}") from None


@app.command("ls")
def ls(output: Output = None) -> None:
    """List canaries: what each checks, and what it may take at most.

    Example: `sempre canary ls`
    """
    as_json = wants_json(output)
    from sempre.canary.every import CANARIES

    found = [
        {"name": each.name, "checks": each.about, "seconds": each.seconds, "slow": each.slow}
        for each in CANARIES.values()
    ]
    rows = [(each.name, "slow" if each.slow else "", each.about) for each in CANARIES.values()]
    report(as_json, found, lambda: print_table(("Name", "", "It is healthy if"), rows))


def _chosen(only: list[str] | None, skip: list[str] | None, quick: bool) -> list[Canary]:
    from sempre.canary.every import UnknownCanaryError, chosen

    try:
        found = chosen(_names(only), _names(skip), quick=quick)
    except UnknownCanaryError as error:
        raise CliError(str(error)) from None
    if not found:
        raise CliError("No canary is left to play: --only and --skip name the same ones.")
    return found


def _names(given: list[str] | None) -> list[str]:
    return [name.strip() for part in given or () for name in part.split(",") if name.strip()]


def _use(api: str | None, auth_string: str | None, timeout: float | None, verbose: bool) -> str:
    """Have everything that this process and its children do go to one API, and see that it answers; its address."""
    from sempre.settings import forget_settings

    if auth_string:
        os.environ["SEMPRE_API_AUTH_STRING"] = auth_string
    if api:
        os.environ["SEMPRE_API_URL"] = api
    opened = open_api()
    opened.get("/health")
    opened.get("/admin/version")  # which wants the credentials that everything else wants
    os.environ["SEMPRE_API_URL"] = opened.url
    # A flow would wait out an outage of a quarter of an hour, and its canary shall say that there is one.
    os.environ.setdefault("SEMPRE_CLIENT_PATIENCE_SECONDS", f"{timeout or 60:g}")
    forget_settings()
    if not verbose:
        logging.getLogger("sempre").addHandler(logging.NullHandler())
        logging.getLogger("sempre").propagate = False
    return opened.url


def _say(outcome: Outcome) -> None:
    colour = _COLOURS.get(outcome.result, typer.colors.RED)
    typer.echo(f"{typer.style(outcome.result, fg=colour)} {outcome.name} ({outcome.seconds:.1f} s)", err=True)


def _summary(outcomes: Sequence[Outcome]) -> str:
    failed, skipped = sum(each.failed for each in outcomes), sum(each.skipped for each in outcomes)
    if failed:
        return f"{failed} of {len(outcomes)} canaries did not pass"
    if skipped:
        return f"{len(outcomes) - skipped} canaries passed, {skipped} skipped,"
    return f"All {len(outcomes)} canaries passed"


def _show(outcomes: Sequence[Outcome], took: float) -> None:
    rows = [(each.name, each.result, f"{each.seconds:.1f}", each.message) for each in outcomes]
    print_table(("Canary", "Result", "Seconds", ""), rows)
    for each in outcomes:
        for what in each.left_behind:
            warn(f"{each.name} could not remove {what}")
    typer.echo(f"{_summary(outcomes)} in {took:.1f} s.")
