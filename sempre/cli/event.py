"""`sempre event`: watch the log of events, add to it."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from sempre.cli.connection import open_api
from sempre.cli.errors import CliError
from sempre.cli.moments import local_time, parse_duration
from sempre.cli.output import Output, report, wants_json
from sempre.cli.rest import Json
from sempre.cli.values import parse_object, parse_pairs

app = typer.Typer(no_args_is_help=True, help="Watch events as they happen, emit some.")


@app.command()
def stream(
    style: Annotated[str, typer.Option("--format", help="`json`, an event a line, or `text`.")] = "json",
    output_file: Annotated[Path | None, typer.Option("--output-file", help="Append to this file instead.")] = None,
    run_once: Annotated[bool, typer.Option("--run-once", help="End after the first event.")] = False,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", "-n", help="Only events of this name, `*` for any end; may be repeated."),
    ] = None,
    resource_id: Annotated[
        list[str] | None, typer.Option("--resource-id", help="Only events about or near this resource.")
    ] = None,
    since: Annotated[str, typer.Option("--since", help="How far to begin before now.")] = "1 minute",
    output: Output = None,
) -> None:
    """Show events as they happen, until Ctrl-C. Lost connections are made again, and what was missed is shown.

    Examples: `sempre event stream --format text`, `sempre event stream -n 'prefect.flow-run.*' | jq .event`
    """
    from sempre.cli.event_stream import events

    if style not in ("json", "text"):
        raise CliError(f"--format {style!r} is neither `json` nor `text`.")
    as_json = wants_json(output) or style == "json"
    begin = datetime.now(UTC) - parse_duration(since)
    criteria: dict[str, Any] = {
        "occurred": {"since": begin.isoformat(), "until": (begin + timedelta(days=365)).isoformat()}
    }
    if name:
        exact = [each for each in name if not each.endswith("*")]
        prefixes = [each[:-1] for each in name if each.endswith("*")]
        criteria["event"] = {**({"name": exact} if exact else {}), **({"prefix": prefixes} if prefixes else {})}
    if resource_id:
        criteria["any_resource"] = {"id": resource_id}
    target = open_api().target
    sink: TextIO | None = output_file.open("a", encoding="utf-8") if output_file else None
    try:
        for event in events(target, criteria):
            line = json.dumps(event) if as_json else _line(event)
            typer.echo(line, file=sink)
            if run_once:
                return
    finally:
        if sink:
            sink.close()


def _line(event: Json) -> str:
    resource = event["resource"]
    called = resource.get("prefect.resource.name")
    subject = resource["prefect.resource.id"] + (f" ({called})" if called else "")
    return f"{local_time(event['occurred'])} | {event['event']} | {subject}"


@app.command()
def emit(
    event: Annotated[str, typer.Argument(metavar="NAME", help="The event's name, such as `shop.order.paid`.")],
    resource: Annotated[
        list[str] | None,
        typer.Option("--resource", "-r", help="A label `name=value` of its resource, or all as a JSON object."),
    ] = None,
    resource_id: Annotated[str | None, typer.Option("--resource-id", help="The id of its resource.")] = None,
    related: Annotated[
        str | None, typer.Option("--related", help="JSON: a related resource, or a list of them.")
    ] = None,
    payload: Annotated[str | None, typer.Option("--payload", "-p", help="A JSON object.")] = None,
    output: Output = None,
) -> None:
    """Add an event to the log; automations see it.

    Example: `sempre event emit shop.order.paid --resource-id shop.order.17 -p '{"amount": 30}'`
    """
    as_json = wants_json(output)
    labels = _labels(resource)
    if resource_id:
        labels["prefect.resource.id"] = resource_id
    if "prefect.resource.id" not in labels:
        raise CliError("An event is about something: give --resource-id.")
    document: Json = {
        "id": str(uuid.uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "event": event,
        "resource": labels,
        "related": _related(related),
        "payload": parse_object(payload, "--payload") if payload else {},
    }
    open_api().post("/events", [document])
    report(as_json, document, f"Emitted {event!r} ({document['id']}).")


def _labels(given: list[str] | None) -> dict[str, str]:
    labels: dict[str, Any] = {}
    for each in given or ():
        labels |= (
            parse_object(each, "--resource") if each.lstrip().startswith("{") else parse_pairs([each], "--resource")
        )
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in labels.items()}


def _related(text: str | None) -> list[Json]:
    if not text:
        return []
    try:
        found = json.loads(text)
    except ValueError as error:
        raise CliError(f"--related is no JSON: {error}") from None
    return found if isinstance(found, list) else [found]
