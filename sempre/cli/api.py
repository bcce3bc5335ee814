"""`sempre api`: the API by hand, with the credentials of the profile."""

from __future__ import annotations

import sys
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from sempre.cli.connection import open_api, opened
from sempre.cli.errors import ApiAway, CliError, detail_of
from sempre.cli.output import print_json
from sempre.cli.rest import Answer, Api

app = typer.Typer()

_NETWORK = 7


@app.command()
def api(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="GET, POST, PATCH, PUT or DELETE.")],
    path: Annotated[str, typer.Argument(metavar="PATH", help="Below the API's address, with a query if you like.")],
    data: Annotated[
        str | None, typer.Option("--data", "-d", help="The JSON to send; `@FILE` reads a file, `@-` standard input.")
    ] = None,
    header: Annotated[list[str] | None, typer.Option("--header", "-H", help="`Name: value`; may be repeated.")] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show both sides' headers on standard error.")
    ] = False,
    root: Annotated[bool, typer.Option("--root", help="PATH is below the server's root, not below the API.")] = False,
    output: Annotated[str | None, typer.Option("--output", "-o", hidden=True)] = None,
) -> None:
    """Send a request to the API and print the answer's JSON.

    Examples: `sempre api GET /flows/name/etl`, `sempre api POST /flow_runs/filter --data '{"limit": 3}'`

    Exit codes: 0 done, 3 not let in (401, 403), 4 refused (other 4xx), 5 the server failed (5xx), 7 not reached.
    """
    verb = method.upper()
    content = _content(verb, data)
    headers = _headers(header)
    target = open_api()
    if root:
        parts = urlsplit(target.url)
        target = opened(replace(target.target, url=f"{parts.scheme}://{parts.netloc}"))
    path = path if path.startswith("/") else f"/{path}"
    if verbose:
        _show(">", f"{verb} {target.url}{path}", headers)
    try:
        answer = target.exchange(verb, path, content, headers)
    except ApiAway as away:
        away.code = 5 if away.status else _NETWORK
        raise
    if verbose:
        _show("<", f"{answer.status} {_phrase(answer.status)}", dict(answer.headers))
    _finish(target, answer)


def _content(verb: str, data: str | None) -> bytes | None:
    if data is None:
        return b"{}" if verb in ("POST", "PUT", "PATCH") else None
    if data == "@-":
        return sys.stdin.read().encode()
    if data.startswith("@"):
        try:
            return Path(data[1:]).read_bytes()
        except OSError as error:
            raise CliError(f"{data[1:]} cannot be read: {error.strerror}") from None
    return data.encode()


def _headers(given: list[str] | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in given or ():
        name, colon, value = each.partition(":")
        if not colon:
            raise CliError(f"--header {each!r} is not of the form 'Name: value'")
        found[name.strip()] = value.strip()
    return found


def _show(mark: str, first: str, headers: dict[str, str]) -> None:
    for line in (first, *(f"{name}: {value}" for name, value in headers.items())):
        typer.echo(f"{mark} {line}", err=True)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _finish(target: Api, answer: Answer) -> None:
    body = answer.body()
    if isinstance(body, str) and not answer.headers.get("Content-Type", "").startswith("application/json"):
        typer.echo(body)
    elif answer.content:
        print_json(body)
    if answer.status < 300:
        return
    reason = detail_of(body) or answer.headers.get("Location") or ""
    typer.secho(f"Error: {answer.status} {_phrase(answer.status)} {reason}".rstrip(), fg=typer.colors.RED, err=True)
    if answer.status in (401, 403):
        raise typer.Exit(3)
    raise typer.Exit(answer.status // 100 if answer.status >= 400 else 1)
