"""From overrides, environment and profile to a frozen tree of settings."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from sempre.server.settings.database import (
    compose_database_url,
    missing_parts,
    parse_database_url,
    split_driver_options,
)
from sempre.server.settings.tree import Settings, describe
from sempre.settings import client
from sempre.settings.layers import Resolution, build, did_you_mean, read_layers
from sempre.settings.listing import all_names

logger = logging.getLogger("sempre.settings")

# Names of clients, workers and the tools around them, which other parts of Sempre read.
_FOREIGN_PREFIXES = (
    "SEMPRE__", "SEMPRE_API_", "SEMPRE_CLIENT_", "SEMPRE_CLOUD_", "SEMPRE_DEPLOYMENTS_", "SEMPRE_FLOW", "SEMPRE_HELM_",
    "SEMPRE_LOGGING_", "SEMPRE_PROFILE", "SEMPRE_RESULTS_", "SEMPRE_RUNNER_", "SEMPRE_TASK", "SEMPRE_TEST",
    "SEMPRE_UI_URL", "SEMPRE_WORKER", "SEMPRE_BENCH",
)  # fmt: skip

_PASSWORD_MARK = re.compile(r"\$\{(?:SEMPRE_SERVER|PREFECT_SERVER|PREFECT_API)_DATABASE_PASSWORD\}", re.IGNORECASE)
_REDIS_SCHEMES = ("redis", "rediss", "redis+sentinel", "rediss+sentinel")


def load_settings(env: Mapping[str, str] | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Settings from, strongest first: `overrides` (dotted path or name to value), `env` (default: the process's),
    the active profile, defaults. Logs warnings; raises SettingsError naming every bad value at once."""
    resolution = resolve_settings(env, overrides)
    for warning in resolution.warnings:
        logger.warning(warning)
    return resolution.settings


def resolve_settings(
    env: Mapping[str, str] | None = None, overrides: Mapping[str, Any] | None = None
) -> Resolution[Settings]:
    """The same as `load_settings`, with the origin of every value and the warnings returned instead of logged."""
    reading = read_layers(describe(), env, overrides)
    warnings = _unknown_names(reading.environment) + _unknown_names(reading.profile_values)
    if not reading.problems:
        try:
            warnings += _finish(reading.values, reading.sources)
        except ValueError as error:
            reading.problems.append(str(error))
    reading.check()
    settings = build(Settings(), reading.values)
    return Resolution(settings, reading.sources, tuple(warnings), reading.profile, reading.profiles_path)


@lru_cache(maxsize=1)
def _known_names() -> frozenset[str]:
    return all_names(describe()) | all_names(client.describe())


def _unknown_names(names: Mapping[str, str]) -> list[str]:
    return [
        f"{name} is not a setting of the server and has no effect{did_you_mean(describe(), name)}"
        for name in sorted(names)
        if name.startswith("SEMPRE_") and name not in _known_names() and not name.startswith(_FOREIGN_PREFIXES)
    ]


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
