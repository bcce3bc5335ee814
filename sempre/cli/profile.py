"""`sempre profile`: settings for several servers, one set of them in use."""

from __future__ import annotations

from typing import Annotated

import typer

from sempre.cli.connection import open_api
from sempre.cli.errors import ApiAway, CliError
from sempre.cli.output import Output, Yes, confirm_on_terminal, print_table, report, wants_json, warn
from sempre.cli.profiles import ProfilesFile, open_profiles
from sempre.settings.profiles import DEFAULT_PROFILE

app = typer.Typer(no_args_is_help=True, help="Keep settings for several servers and switch between them.")

_Name = Annotated[str, typer.Argument(metavar="NAME", help="The profile's name.")]
_HIDDEN = "********"
_LOCAL = {"SEMPRE_API_URL": "http://127.0.0.1:4200/api"}


@app.command("ls")
def ls(output: Output = None) -> None:
    """List profiles; the one in use is marked.

    Example: `sempre profile ls`
    """
    as_json = wants_json(output)
    file = open_profiles()
    names = sorted(file.profiles.values)
    document = [{"name": name, "active": name == file.used} for name in names]
    rows = [("*" if name == file.used else "", name, _api(file.profiles.values[name])) for name in names]
    report(as_json, document, lambda: print_table(("", "Name", "API"), rows))


def _api(table: dict[str, str]) -> str:
    return table.get("SEMPRE_API_URL") or table.get("PREFECT_API_URL") or ""


@app.command("create")
def create(
    name: _Name,
    source: Annotated[str | None, typer.Option("--from", help="Begin with the settings of this profile.")] = None,
    output: Output = None,
) -> None:
    """Create a profile.

    Example: `sempre profile create staging --from production`, then
    `sempre --profile staging config set SEMPRE_API_URL=https://staging.example.com/api`
    """
    as_json = wants_json(output)
    file = open_profiles()
    if name in file.profiles.values:
        raise CliError(f"Profile {name!r} already exists. `sempre profile delete {name}` removes it.")
    file.profiles.values[name] = dict(file.table(source)) if source else {}
    file.save()
    report(as_json, {"name": name, "settings": _shown(file, name, False)}, f"Created profile {name!r}.")


@app.command()
def use(name: _Name, output: Output = None) -> None:
    """Use a profile from now on, and say whether its API answers.

    Example: `sempre profile use staging`
    """
    as_json = wants_json(output)
    file = open_profiles()
    file.table(name)
    file.profiles.active = name
    file.save()
    api = open_api(name)
    try:
        answers = api.call("GET", "/health") is True
    except (ApiAway, CliError):
        answers = False
    state = "answers" if answers else "does not answer"
    if not answers and not as_json:
        warn(f"The API at {api.url} does not answer.")
    text = f"Profile {name!r} is in use; the API at {api.url} {state}."
    report(as_json, {"name": name, "api_url": api.url, "answers": answers}, text)


@app.command()
def delete(name: _Name, yes: Yes = False, output: Output = None) -> None:
    """Delete a profile. The one in use cannot be deleted.

    Example: `sempre profile delete staging -y`
    """
    as_json = wants_json(output)
    file = open_profiles()
    file.table(name)
    if name in (file.used, file.profiles.active):
        raise CliError(f"Profile {name!r} is in use. `sempre profile use NAME` switches to another one first.")
    confirm_on_terminal(f"Delete the profile {name!r}?", yes=yes)
    del file.profiles.values[name]
    file.save()
    report(as_json, {"deleted": [{"name": name}]}, f"Deleted profile {name!r}.")


@app.command()
def rename(
    name: _Name,
    new_name: Annotated[str, typer.Argument(metavar="NEW-NAME", help="What it is called from now on.")],
    output: Output = None,
) -> None:
    """Rename a profile.

    Example: `sempre profile rename staging test`
    """
    as_json = wants_json(output)
    file = open_profiles()
    table = file.table(name)
    if new_name in file.profiles.values:
        raise CliError(f"Profile {new_name!r} already exists.")
    file.profiles.values = {new_name if key == name else key: value for key, value in file.profiles.values.items()}
    file.profiles.values[new_name] = table
    if file.profiles.active == name:
        file.profiles.active = new_name
    file.save()
    report(as_json, {"name": new_name}, f"Profile {name!r} is called {new_name!r} now.")


@app.command()
def inspect(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The profile's name; without it, the one in use.")
    ] = None,
    show_secrets: Annotated[bool, typer.Option("--show-secrets", help="Show passwords and other secrets.")] = False,
    output: Output = None,
) -> None:
    """Show the settings of a profile.

    Example: `sempre profile inspect staging`
    """
    as_json = wants_json(output)
    file = open_profiles()
    name = name or file.used
    file.table(name)
    settings = _shown(file, name, show_secrets)
    lines = "\n".join(f"{key}={value}" for key, value in settings.items()) or f"Profile {name!r} sets nothing."
    report(as_json, {"name": name, "settings": settings}, lines)


def _shown(file: ProfilesFile, name: str, show_secrets: bool) -> dict[str, str]:
    from sempre.server import settings as server
    from sempre.settings import client

    secret = {
        each for info in (*client.describe(), *server.describe()) if info.secret for each in (info.name, *info.aliases)
    }
    return {
        key: _HIDDEN if key.upper() in secret and not show_secrets else value
        for key, value in file.profiles.values[name].items()
    }


@app.command("populate-defaults")
def populate_defaults(output: Output = None) -> None:
    """Add the profiles that most people want and that are missing: `default`, and `local` for a server on this machine.

    Example: `sempre profile populate-defaults`
    """
    as_json = wants_json(output)
    file = open_profiles()
    wanted = {DEFAULT_PROFILE: dict[str, str](), "local": dict(_LOCAL)}
    added = [name for name in wanted if name not in file.profiles.values]
    file.profiles.values |= {name: wanted[name] for name in added}
    file.save()
    report(as_json, [{"name": name} for name in added], f"Added: {', '.join(added)}." if added else "All are there.")
