"""`sempre config`: look at settings, change those of a profile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from sempre.cli.output import Output, Yes, confirm, fail, print_json, print_table, wants_json
from sempre.server import settings as server
from sempre.settings import SettingInfo, client, read_profiles, resolve_client_settings, write_profiles
from sempre.settings.layers import Resolution

app = typer.Typer(no_args_is_help=True, help="Look at settings and change those of a profile.")

_HIDDEN = "********"
# A profile cannot say where it is itself.
_NOT_IN_PROFILES = frozenset(
    {"SEMPRE_HOME", "PREFECT_HOME", "SEMPRE_PROFILES_PATH", "PREFECT_PROFILES_PATH", "SEMPRE_PROFILE"}
)


def _describe() -> Iterator[SettingInfo]:
    """Every setting of servers, then those that only clients have."""
    yield from server.describe()
    ours = {info.name for info in server.describe()}
    yield from (info for info in client.describe() if info.name not in ours)


def _resolve(
    env: Mapping[str, str] | None = None, overrides: Mapping[str, Any] | None = None
) -> tuple[Resolution[Any], Resolution[Any]]:
    """What servers and what clients make of the same sources. Raises SettingsError."""
    given = overrides or {}
    parts = [
        {name: value for name, value in given.items() if any(_is(info, name) for info in infos)}
        for infos in (server.describe(), client.describe())
    ]
    unknown = {name: value for name, value in given.items() if not any(name in part for part in parts)}
    return server.resolve_settings(env, {**parts[0], **unknown}), resolve_client_settings(env, parts[1])


def _is(info: SettingInfo, name: str) -> bool:
    return name == info.name or name in info.aliases


def _value(resolutions: tuple[Resolution[Any], Resolution[Any]], info: SettingInfo) -> tuple[Any, str]:
    """(value, where it comes from)."""
    resolution = resolutions[0] if info in server.describe() else resolutions[1]
    value: Any = resolution.settings
    for part in info.path.split("."):
        value = getattr(value, part)
    return value, resolution.sources.get(info.path, "default")


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


@app.command()
def view(
    show_defaults: Annotated[bool, typer.Option(help="List settings nobody set, too.")] = False,
    show_sources: Annotated[bool, typer.Option(help="Say where each value comes from.")] = True,
    show_secrets: Annotated[bool, typer.Option(help="Show passwords and other secrets.")] = False,
    output: Output = None,
) -> None:
    """Show the settings in force and where each comes from.

    Strongest first: flags, environment, the active profile of profiles.toml under SEMPRE_HOME, defaults. Every
    SEMPRE_ name has PREFECT_ aliases; the source column shows the name that was really used.

    Example: `sempre config view --show-defaults` lists every setting there is.
    """
    as_json = wants_json(output)
    resolutions = _resolve()
    resolution = resolutions[0]
    warnings = _warnings(resolutions)
    rows = []
    for info in _describe():
        value, source = _value(resolutions, info)
        if source == "default" and not show_defaults:
            continue
        rows.append((info, _HIDDEN if info.secret and value and not show_secrets else value, source))
    if as_json:
        settings = {info.name: {"value": value, "source": source} for info, value, source in rows}
        print_json({"profile": resolution.profile, "settings": settings, "warnings": warnings})
        return
    columns = ("Setting", "Value", *(("Source",) if show_sources else ()))
    typer.echo(f"Profile: {resolution.profile} ({resolution.profiles_path})")
    print_table(
        columns, ((info.name, _text(value), *((source,) if show_sources else ())) for info, value, source in rows)
    )
    for warning in warnings:
        typer.secho(f"Warning: {warning}", fg=typer.colors.YELLOW, err=True)


def _warnings(resolutions: tuple[Resolution[Any], Resolution[Any]]) -> list[str]:
    return [warning for resolution in resolutions for warning in resolution.warnings]


def _known(name: str) -> SettingInfo | None:
    return next((info for info in _describe() if _is(info, name)), None)


@app.command("set")
def set_(
    assignments: Annotated[list[str], typer.Argument(metavar="NAME=VALUE...", help="One or more settings.")],
) -> None:
    """Set settings in the active profile.

    Example: `sempre config set SEMPRE_SERVER_API_PORT=4300`

    A value is checked before it is written. The environment still wins over the profile.
    """
    resolution, of_clients = _resolve()
    profiles = read_profiles(resolution.profiles_path)
    table = profiles.values.setdefault(resolution.profile, {})
    changed = {}
    for assignment in assignments:
        name, separator, value = assignment.partition("=")
        name = name.strip().upper()
        if not separator or not name:
            fail(f"{assignment!r} is not of the form NAME=VALUE", 2)
        if name in _NOT_IN_PROFILES:
            fail(f"{name} says where profiles are and cannot be in one; set it in the environment")
        if _known(name) is None and not name.startswith("PREFECT_"):
            _resolve({}, {name: value})  # raises, with a suggestion
        changed[name] = value
    table.update(changed)
    profile_home = {"SEMPRE_HOME": "/nonexistent"}
    _resolve(profile_home, {name: value for name, value in table.items() if _known(name)})
    write_profiles(resolution.profiles_path, profiles)
    for name, value in changed.items():
        info = _known(name)
        typer.echo(f"Set {name} to {_HIDDEN if info and info.secret else value!r} in profile {resolution.profile!r}.")
        source = _value((resolution, of_clients), info)[1] if info else "default"
        if source != "default" and not source.startswith("profile "):
            typer.secho(f"{source} in the environment wins over it.", fg=typer.colors.YELLOW, err=True)


@app.command()
def unset(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="One or more settings.")], yes: Yes = False
) -> None:
    """Remove settings from the active profile.

    Example: `sempre config unset -y SEMPRE_SERVER_API_PORT`
    """
    resolution, _ = _resolve()
    profiles = read_profiles(resolution.profiles_path)
    table = profiles.values.get(resolution.profile, {})
    wanted = [name.upper() for name in names]
    missing = [name for name in wanted if name not in table]
    if missing:
        fail(f"{', '.join(missing)} is not set in profile {resolution.profile!r}")
    confirm(f"Remove {', '.join(wanted)} from profile {resolution.profile!r}?", yes=yes)
    for name in wanted:
        del table[name]
    write_profiles(resolution.profiles_path, profiles)
    typer.echo(f"Removed {', '.join(wanted)} from profile {resolution.profile!r}.")


@app.command()
def validate() -> None:
    """Check the settings in force: 0 when they can be used, 1 with what is wrong otherwise.

    Example: `sempre config validate && sempre server start`
    """
    for warning in _warnings(_resolve()):
        typer.secho(f"Warning: {warning}", fg=typer.colors.YELLOW, err=True)
    typer.echo("The settings can be used.")
