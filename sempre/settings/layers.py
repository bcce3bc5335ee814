"""What overrides, environment and profile say, strongest first, about a list of settings."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from sempre.settings.errors import SettingsError
from sempre.settings.listing import SettingInfo, all_names
from sempre.settings.parse import as_text
from sempre.settings.profiles import default_home, read_profiles, upper_keys

T = TypeVar("T")


@dataclass(frozen=True)
class Resolution(Generic[T]):
    """Loaded settings, where each non-default value came from (path to `override`, a variable's name, or
    `profile <name>`), and what deserves a warning."""

    settings: T
    sources: Mapping[str, str]
    warnings: tuple[str, ...]
    profile: str
    profiles_path: Path


@dataclass
class Reading:
    """What was found: `values` and `sources` by path, `problems` as sentences, and the layers themselves."""

    environment: Mapping[str, str]
    profile: str
    profile_values: Mapping[str, str]
    profiles_path: Path
    values: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Raise SettingsError with every problem at once, if there are any."""
        if self.problems:
            raise SettingsError("; ".join(self.problems))


def read_layers(
    infos: Iterable[SettingInfo], env: Mapping[str, str] | None = None, overrides: Mapping[str, Any] | None = None
) -> Reading:
    """The strongest value of each setting. Names are case-insensitive; `env` defaults to the process's.

    Raises SettingsError for an override that is no setting and for profiles that cannot be read; bad values are
    collected in `problems`. `home` always has a value.
    """
    infos = tuple(infos)
    environment = upper_keys(os.environ if env is None else env)
    given = _named_overrides(infos, overrides or {})
    home = Path(given.get("SEMPRE_HOME") or _first(environment, ("SEMPRE_HOME", "PREFECT_HOME")) or default_home())
    home = home.expanduser()
    profiles_path = Path(
        _first(environment, ("SEMPRE_PROFILES_PATH", "PREFECT_PROFILES_PATH")) or home / "profiles.toml"
    ).expanduser()
    profile, profile_values = _profile(environment, profiles_path)
    reading = Reading(environment, profile, profile_values, profiles_path)
    layers = (("override", given), ("environment", environment), (f"profile {profile}", profile_values))
    for info in infos:
        found = _find(info, layers)
        if found is None:
            continue
        origin, name, text = found
        try:
            reading.values[info.path] = _parse(info, name, text)
            reading.sources[info.path] = name if origin == "environment" else origin
        except ValueError as error:
            shown = "(hidden)" if info.secret else repr(text)
            reading.problems.append(f"{name}={shown} {error}")
    reading.values["home"] = home
    return reading


def build(section: T, values: Mapping[str, Any], path: str = "") -> T:
    """A copy of a section, and of those below it, with the values of this load."""
    changes: dict[str, Any] = {}
    for declared in dataclasses.fields(section):  # type: ignore[arg-type]
        here, current = f"{path}{declared.name}", getattr(section, declared.name)
        if here in values:
            changes[declared.name] = values[here]
        elif dataclasses.is_dataclass(current):
            changes[declared.name] = build(current, values, f"{here}.")
    return dataclasses.replace(section, **changes)  # type: ignore[type-var]


def did_you_mean(infos: Iterable[SettingInfo], name: str) -> str:
    """`; did you mean SEMPRE_...?`, or nothing when no name is close."""
    import difflib  # only for those who mistyped

    infos = tuple(infos)
    # A name made from the peer's by swapping the first word is the likeliest slip.
    peer = "PREFECT_" + name.removeprefix("SEMPRE_")
    for info in infos:
        if peer in info.aliases:
            return f"; did you mean {info.name}?"
    close = difflib.get_close_matches(name, [info.name for info in infos], n=1, cutoff=0.7)
    return f"; did you mean {close[0]}?" if close else ""


def _first(mapping: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((mapping[name] for name in names if mapping.get(name)), None)


def _named_overrides(infos: tuple[SettingInfo, ...], overrides: Mapping[str, Any]) -> dict[str, str]:
    by_path = {info.path: info.name for info in infos}
    known = all_names(infos)
    named: dict[str, str] = {}
    for key, value in overrides.items():
        if value is None:
            continue
        name = by_path.get(key) or key.upper()
        if name not in known:
            raise SettingsError(f"{key} is not a setting{did_you_mean(infos, key.upper())}")
        named[name] = as_text(value)
    return named


def _profile(environment: Mapping[str, str], path: Path) -> tuple[str, dict[str, str]]:
    profiles = read_profiles(path)
    wanted = environment.get("SEMPRE_PROFILE")
    if wanted:
        if wanted not in profiles.values:
            raise SettingsError(f"SEMPRE_PROFILE={wanted!r} names no profile in {path}")
        return wanted, upper_keys(profiles.values[wanted])
    # The peer's own variable may be meant for its client on the same machine: use it when it fits, else not.
    foreign = environment.get("PREFECT_PROFILE")
    name = foreign if foreign in profiles.values else profiles.active
    return name or profiles.active, upper_keys(profiles.values.get(name or "", {}))


def _find(info: SettingInfo, layers: tuple[tuple[str, Mapping[str, str]], ...]) -> tuple[str, str, str] | None:
    """(layer, name, text) of the strongest source that sets it. Empty counts as unset: charts render empty strings."""
    for origin, layer in layers:
        for name in (info.name, *info.aliases):
            text = layer.get(name)
            if text:
                return origin, name, text
    return None


def _parse(info: SettingInfo, name: str, text: str) -> Any:
    if name.startswith("PREFECT__"):
        return True  # flags of this form count as set whatever they hold
    value = info.parse(text)
    spec = info.spec
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if spec.minimum is not None and value < spec.minimum:
            raise ValueError(f"is too small; the least is {spec.minimum:g}")
        if spec.maximum is not None and value > spec.maximum:
            raise ValueError(f"is too large; the most is {spec.maximum:g}")
    return value
