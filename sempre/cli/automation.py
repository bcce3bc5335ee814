"""`sempre automation`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sempre.cli.connection import open_api
from sempre.cli.errors import ApiError, CliError
from sempre.cli.find import AUTOMATION, find
from sempre.cli.lists import read_list
from sempre.cli.output import Output, Yes, confirm_on_terminal, print_json, print_table, report, wants_json
from sempre.cli.progress import each
from sempre.cli.rest import Api, Json
from sempre.cli.values import read_document, to_yaml

app = typer.Typer(no_args_is_help=True, help="Create and steer automations.")

_Name = Annotated[str | None, typer.Argument(metavar="[NAME]", help="The automation's name, or its id.")]
_Id = Annotated[str | None, typer.Option("--id", help="The automation's id.")]
_File = Annotated[
    Path | None, typer.Option("--from-file", "-f", help="YAML or JSON with an automation, or a list of them.")
]
_Text = Annotated[str | None, typer.Option("--from-json", "-j", help="An automation as JSON, or a list of them.")]


@app.command("ls")
def ls(output: Output = None) -> None:
    """List automations.

    Example: `sempre automation ls`
    """
    as_json = wants_json(output)
    found = read_list(open_api(), "/automations/filter", {"sort": "NAME_ASC"})
    rows = [
        (
            item["name"],
            item["id"],
            "yes" if item["enabled"] else "no",
            _trigger(item["trigger"]),
            ", ".join(action["type"] for action in item["actions"]),
        )
        for item in found
    ]
    report(as_json, found, lambda: print_table(("Name", "ID", "Enabled", "When", "Then"), rows))


def _trigger(trigger: Json) -> str:
    if trigger["type"] != "event":
        return f"{trigger['type']} of {len(trigger['triggers'])}"
    events = ", ".join(trigger["expect"]) or "anything"
    within = f" within {trigger['within']:g} s" if trigger.get("within") else ""
    return f"{'' if trigger['posture'] == 'Reactive' else 'no '}{events}{within}"


def _find(api: Api, name: str | None, by_id: str | None) -> Json:
    if (name is None) == (by_id is None):
        raise CliError("Give either the automation's name or --id.")
    return find(api, AUTOMATION, by_id or name or "")


@app.command()
def inspect(
    name: _Name = None,
    by_id: _Id = None,
    as_yaml: Annotated[bool, typer.Option("--yaml", help="As YAML, which is what is shown anyway.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    output: Output = None,
) -> None:
    """Show an automation, in the form that `create` reads.

    Example: `sempre automation inspect alert-on-failure --yaml > alert.yaml`
    """
    json_wanted = wants_json(output) or as_json
    if json_wanted and as_yaml:
        raise CliError("Either --yaml or --json, not both.")
    found = _find(open_api(), name, by_id)
    if json_wanted:
        print_json(found)
    else:
        typer.echo(to_yaml(found), nl=False)


def _documents(file: Path | None, text: str | None) -> list[Json]:
    if (file is None) == (text is None):
        raise CliError("Give either --from-file or --from-json.")
    if file is not None:
        found: Any = read_document(file)
    else:
        import json

        try:
            found = json.loads(text or "")
        except ValueError as error:
            raise CliError(f"--from-json is no JSON: {error}") from None
    if isinstance(found, dict) and isinstance(found.get("automations"), list):
        found = found["automations"]
    documents = found if isinstance(found, list) else [found]
    if not documents or not all(isinstance(each, dict) for each in documents):
        raise CliError("An automation is an object with name, trigger and actions.")
    return documents


@app.command("create")
def create(file: _File = None, text: _Text = None, output: Output = None) -> None:
    """Create automations from YAML or JSON.

    Examples: `sempre automation create -f alert.yaml`, `sempre automation create -j '{"name": "alert", "trigger":
    {"type": "event", "posture": "Reactive", "expect": ["prefect.flow-run.Failed"], "threshold": 1, "within": 0},
    "actions": [{"type": "do-nothing"}]}'`
    """
    as_json = wants_json(output)
    documents = _documents(file, text)
    api = open_api()
    made: list[Json] = []
    for document in documents:
        try:
            made.append(api.post("/automations/", _body(document)))
        except ApiError as error:
            before = f" Created before it: {', '.join(item['name'] for item in made)}." if made else ""
            raise CliError(f"Automation {document.get('name')!r} was not created: {error.detail}.{before}") from None
    lines = "\n".join(f"Created automation {item['name']!r} ({item['id']})." for item in made)
    report(as_json, made if len(made) > 1 else made[0], lines)


def _body(document: Json) -> Json:
    """Without what a server adds: what `inspect` printed can be created again."""
    return {key: value for key, value in document.items() if key not in ("id", "created", "updated")}


@app.command()
def update(
    by_id: Annotated[str, typer.Option("--id", help="The automation's id.")],
    file: _File = None,
    text: _Text = None,
    output: Output = None,
) -> None:
    """Replace an automation by what YAML or JSON says.

    Example: `sempre automation update --id 0190a3f2-... -f alert.yaml`
    """
    as_json = wants_json(output)
    documents = _documents(file, text)
    if len(documents) != 1:
        raise CliError("One automation can be updated at a time.")
    api = open_api()
    found = find(api, AUTOMATION, by_id)
    api.put(f"/automations/{found['id']}", _body(documents[0]))
    after = api.get(f"/automations/{found['id']}")
    report(as_json, after, f"Updated automation {after['name']!r} ({after['id']}).")


@app.command("pause")
@app.command("disable", hidden=True)
def pause(name: _Name = None, by_id: _Id = None, output: Output = None) -> None:
    """Pause an automation: it does not count and does not act until it is resumed.

    Example: `sempre automation pause alert-on-failure`
    """
    _switch(False, name, by_id, output)


@app.command("resume")
@app.command("enable", hidden=True)
def resume(name: _Name = None, by_id: _Id = None, output: Output = None) -> None:
    """Resume an automation.

    Example: `sempre automation resume alert-on-failure`
    """
    _switch(True, name, by_id, output)


def _switch(enabled: bool, name: str | None, by_id: str | None, output: str | None) -> None:
    as_json = wants_json(output)
    api = open_api()
    found = _find(api, name, by_id)
    api.patch(f"/automations/{found['id']}", {"enabled": enabled})
    done = "Resumed" if enabled else "Paused"
    report(as_json, {**found, "enabled": enabled}, f"{done} automation {found['name']!r} ({found['id']}).")


@app.command()
def delete(
    name: _Name = None,
    by_id: _Id = None,
    every: Annotated[bool, typer.Option("--all", help="Delete all automations.")] = False,
    yes: Yes = False,
    output: Output = None,
) -> None:
    """Delete an automation, or all of them.

    Examples: `sempre automation delete alert-on-failure`, `sempre automation delete --all -y`
    """
    as_json = wants_json(output)
    api = open_api()
    if every and (name or by_id):
        raise CliError("--all goes with neither a name nor --id.")
    found = read_list(api, "/automations/filter") if every else [_find(api, name, by_id)]
    what = f"all {len(found)} automations" if every else f"the automation {found[0]['name']!r}"
    confirm_on_terminal(f"Delete {what}?", yes=yes)
    each(found, lambda item: api.delete(f"/automations/{item['id']}"), "Deleting")
    gone = [{"id": item["id"], "name": item["name"]} for item in found]
    lines = "\n".join(f"Deleted automation {item['name']!r} ({item['id']})." for item in gone)
    report(as_json, {"deleted": gone}, lines or "No automations found.")
