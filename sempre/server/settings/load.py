"""From overrides, environment and profile to a frozen tree of settings."""

from __future__ import annotations

import dataclasses
import difflib
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from sempre.server.settings.database import (
    compose_database_url,
    missing_parts,
    parse_database_url,
    split_driver_options,
)
from sempre.server.settings.errors import SettingsError
from sempre.server.settings.parse import as_text
from sempre.server.settings.profiles import read_profiles, upper_keys
from sempre.server.settings.tree import SettingInfo, Settings, default_home, describe

logger = logging.getLogger("sempre.settings")

T = TypeVar("T")

# Names of clients, workers and the tools around them, which other parts of Sempre read.
_FOREIGN_PREFIXES = (
    "SEMPRE__", "SEMPRE_API_", "SEMPRE_CLIENT_", "SEMPRE_CLOUD_", "SEMPRE_DEPLOYMENTS_", "SEMPRE_FLOW", "SEMPRE_HELM_",
    "SEMPRE_LOGGING_", "SEMPRE_PROFILE", "SEMPRE_RESULTS_", "SEMPRE_RUNNER_", "SEMPRE_TASK", "SEMPRE_TEST",
    "SEMPRE_UI_URL", "SEMPRE_WORKER", "SEMPRE_BENCH",
)  # fmt: skip

_PASSWORD_MARK = re.compile(r"\$\{(?:SEMPRE_SERVER|PREFECT_SERVER|PREFECT_API)_DATABASE_PASSWORD\}", re.IGNORECASE)
_REDIS_SCHEMES = ("redis", "rediss", "redis+sentinel", "rediss+sentinel")


@dataclass(frozen=True)
class Resolution:
    """Loaded settings, where each non-default value came from (path to `override`, a variable's name, or
    `profile <name>`), and what deserves a warning."""

    settings: Settings
    sources: Mapping[str, str]
    warnings: tuple[str, ...]
    profile: str
    profiles_path: Path


def load_settings(env: Mapping[str, str] | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Settings from, strongest first: `overrides` (dotted path or name to value), `env` (default: the process's),
    the active profile, defaults. Logs warnings; raises SettingsError naming every bad value at once."""
    resolution = resolve_settings(env, overrides)
    for warning in resolution.warnings:
        logger.warning(warning)
    return resolution.settings


def resolve_settings(env: Mapping[str, str] | None = None, overrides: Mapping[str, Any] | None = None) -> Resolution:
    """The same as `load_settings`, with the origin of every value and the warnings returned instead of logged."""
    environment = upper_keys(os.environ if env is None else env)
    given = _named_overrides(overrides or {})
    home = Path(given.get("SEMPRE_HOME") or _first(environment, ("SEMPRE_HOME", "PREFECT_HOME")) or default_home())
    home = home.expanduser()
    profiles_path = Path(
        _first(environment, ("SEMPRE_PROFILES_PATH", "PREFECT_PROFILES_PATH")) or home / "profiles.toml"
    ).expanduser()
    profile, profile_values = _profile(environment, profiles_path)

    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    problems: list[str] = []
    layers = (("override", given), ("environment", environment), (f"profile {profile}", profile_values))
    for info in describe():
        found = _find(info, layers)
        if found is None:
            continue
        origin, name, text = found
        try:
            values[info.path] = _parse(info, name, text)
            sources[info.path] = name if origin == "environment" else origin
        except ValueError as error:
            shown = "(hidden)" if info.secret else repr(text)
            problems.append(f"{name}={shown} {error}")
    warnings = _unknown_names(environment) + _unknown_names(profile_values)
    if not problems:
        try:
            warnings += _finish(values, sources)
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise SettingsError("; ".join(problems))
    values["home"] = home
    settings = _build(Settings(), values)
    return Resolution(settings, sources, tuple(warnings), profile, profiles_path)


def _first(mapping: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((mapping[name] for name in names if mapping.get(name)), None)


def _named_overrides(overrides: Mapping[str, Any]) -> dict[str, str]:
    by_path = {info.path: info.name for info in describe()}
    known = {name for info in describe() for name in (info.name, *info.aliases)}
    named: dict[str, str] = {}
    for key, value in overrides.items():
        if value is None:
            continue
        name = by_path.get(key) or key.upper()
        if name not in known:
            raise SettingsError(f"{key} is not a setting{_did_you_mean(key.upper())}")
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


def _unknown_names(names: Mapping[str, str]) -> list[str]:
    known = {name for info in describe() for name in (info.name, *info.aliases)}
    return [
        f"{name} is not a setting of the server and has no effect{_did_you_mean(name)}"
        for name in sorted(names)
        if name.startswith("SEMPRE_") and name not in known and not name.startswith(_FOREIGN_PREFIXES)
    ]


def _did_you_mean(name: str) -> str:
    # A name made from the peer's by swapping the first word is the likeliest slip.
    peer = "PREFECT_" + name.removeprefix("SEMPRE_")
    for info in describe():
        if peer in info.aliases:
            return f"; did you mean {info.name}?"
    close = difflib.get_close_matches(name, [info.name for info in describe()], n=1, cutoff=0.7)
    return f"; did you mean {close[0]}?" if close else ""


def _finish(values: dict[str, Any], sources: dict[str, str]) -> list[str]:
    """Fill in what follows from several settings together. Returns warnings."""
    warnings = _finish_database(values, sources)
    warnings += _finish_redis(values, sources)
    url = values.get("docket.url")
    if url is not None:
        if url.startswith("memory://"):
            values["docket.url"] = None
        else:
            _check_redis_url(sources["docket.url"], url)
    return warnings


def _check_redis_url(name: str, url: str) -> None:
    # Without "://" all of it might be a password: nothing of it is shown.
    scheme = url.partition("://")[0] if "://" in url else ""
    if scheme in _REDIS_SCHEMES:
        return
    known = ", ".join(f"{scheme}://" for scheme in _REDIS_SCHEMES)
    if scheme in ("redis+cluster", "rediss+cluster"):
        raise ValueError(
            f"{name} asks for a cluster by {scheme}://, which is not supported; a single Redis is enough for what it "
            f"does here, and redis+sentinel:// or a service with failover make it available: write one of {known}"
        )
    raise ValueError(f"{name} has the scheme {scheme!r}; write one of {known}")


def _finish_database(values: dict[str, Any], sources: dict[str, str]) -> list[str]:
    url, warnings = values.get("database.connection_url"), []
    password = values.get("database.password")
    name = sources.get("database.connection_url", "SEMPRE_SERVER_DATABASE_CONNECTION_URL")
    if url is not None:
        if _PASSWORD_MARK.search(url):
            if password is None:
                raise ValueError(f"{name} refers to a password, and SEMPRE_SERVER_DATABASE_PASSWORD is not set")
            url = _PASSWORD_MARK.sub(lambda _: password, url)
        elif password is not None:
            warnings.append(f"{sources['database.password']} is set but {name} does not refer to it; it has no effect")
    elif values.get("database.driver") or values.get("database.host"):
        url = _composed(values)
    if url is not None:
        try:
            url, cache_size = split_driver_options(parse_database_url(url))
        except ValueError as error:
            raise ValueError(f"{name} {error}") from None
        values["database.connection_url"] = url
        if cache_size is not None:
            values.setdefault("database.statement_cache_size", cache_size)
    _finish_read_url(values, sources, password)
    limit, statement = (
        values.get("database.migration_timeout_seconds"),
        values.get("database.statement_timeout_seconds"),
    )
    if limit is not None and statement is not None:
        # Older guides raise the statement timeout to let migrations finish.
        values["database.migration_timeout_seconds"] = max(limit, statement)
    return warnings


def _finish_read_url(values: dict[str, Any], sources: dict[str, str], password: str | None) -> None:
    url = values.get("database.read_url")
    if url is None:
        return
    name = sources["database.read_url"]
    if values.get("database.connection_url") is None:
        raise ValueError(f"{name} names a replica, and no database is named that it could be one of")
    if _PASSWORD_MARK.search(url):
        if password is None:
            raise ValueError(f"{name} refers to a password, and SEMPRE_SERVER_DATABASE_PASSWORD is not set")
        url = _PASSWORD_MARK.sub(lambda _: password, url)
    try:
        values["database.read_url"], _ = split_driver_options(parse_database_url(url))
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None


def _composed(values: Mapping[str, Any]) -> str:
    host, user, name = (values.get(f"database.{part}") for part in ("host", "user", "name"))
    if not (host and user and name):
        missing = missing_parts((("host", host), ("user", user), ("name", name)))
        raise ValueError(f"Missing required database connection settings: {missing}")
    return compose_database_url(
        host=host,
        port=values.get("database.port", 5432),
        user=user,
        password=values.get("database.password"),
        name=name,
    )


def _finish_redis(values: dict[str, Any], sources: dict[str, str]) -> list[str]:
    warnings = []
    url = values.get("redis.url")
    if url is not None:
        _check_redis_url(sources["redis.url"], url)
        parts = ("host", "port", "db", "username", "password", "ssl")
        ignored = [sources[f"redis.{part}"] for part in parts if f"redis.{part}" in values]
        if ignored:
            warnings.append(f"{', '.join(ignored)} is ignored because {sources['redis.url']} is set")
    elif values.get("redis.host") or values.get("events.messaging_broker") == "redis":
        scheme = "rediss" if values.get("redis.ssl") else "redis"
        credentials = quote(values.get("redis.username", "default"), safe="")
        password = values.get("redis.password")
        login = f"{credentials}:{quote(password, safe='')}@" if password else ""
        host, port = values.get("redis.host", "localhost"), values.get("redis.port", 6379)
        values["redis.url"] = f"{scheme}://{login}{host}:{port}/{values.get('redis.db', 0)}"
    if (cache := values.get("redis.cache_url")) is not None:
        _check_redis_url(sources["redis.cache_url"], cache)
    if values.get("redis.url"):
        for path in ("events.messaging_broker", "events.messaging_cache", "events.causal_ordering"):
            values.setdefault(path, "redis")
    return warnings


def _build(section: T, values: Mapping[str, Any], path: str = "") -> T:
    """A copy of a section, and of those below it, with the values of this load."""
    changes: dict[str, Any] = {}
    for declared in dataclasses.fields(section):  # type: ignore[arg-type]
        here, current = f"{path}{declared.name}", getattr(section, declared.name)
        if here in values:
            changes[declared.name] = values[here]
        elif dataclasses.is_dataclass(current):
            changes[declared.name] = _build(current, values, f"{here}.")
    return dataclasses.replace(section, **changes)  # type: ignore[type-var]
