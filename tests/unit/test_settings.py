"""Settings: names, aliases, sources, and the sentences people read when a value is wrong."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sempre.server.settings import (
    Profiles,
    Settings,
    SettingsError,
    describe,
    load_settings,
    read_profiles,
    resolve_settings,
    write_profiles,
)
from sempre.server.settings.parse import parse_base_path, parse_vacuum
from sempre.settings.parse import parse_duration


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def load(home: Path, env: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    return load_settings({"SEMPRE_HOME": str(home), **(env or {})}, overrides)


def get(settings: Settings, path: str) -> Any:
    value: Any = settings
    for part in path.split("."):
        value = getattr(value, part)
    return value


def test_every_setting_has_one_name_a_type_and_a_sentence() -> None:
    names = [name for info in describe() for name in (info.name, *info.aliases)]
    assert len(names) == len(set(names))
    for info in describe():
        assert info.name.startswith("SEMPRE_")
        assert info.doc.strip(), info.name
        assert get(Settings(), info.path) == info.default


@pytest.mark.parametrize(
    ("name", "text", "path", "value"),
    [
        ("PREFECT_HOME", "/x/y", "home", Path("/x/y")),
        ("PREFECT_SERVER_API_HOST", "0.0.0.0", "api.host", "0.0.0.0"),
        ("PREFECT_SERVER_API_KEEPALIVE_TIMEOUT", "75", "api.keepalive_timeout_seconds", 75.0),
        ("PREFECT_API_DEFAULT_LIMIT", "50", "api.default_limit", 50),
        ("PREFECT_SERVER_CSRF_PROTECTION_ENABLED", "Yes", "api.csrf_protection_enabled", True),
        ("PREFECT_SERVER_CORS_ALLOWED_ORIGINS", "https://a, https://b", "api.cors_allowed_origins",
         ("https://a", "https://b")),
        ("PREFECT_SQLALCHEMY_POOL_SIZE", "3", "database.pool_size", 3),
        ("PREFECT_API_DATABASE_SQLALCHEMY_POOL_SIZE", "4", "database.pool_size", 4),
        ("PREFECT_SERVER_DATABASE_TIMEOUT", "20", "database.statement_timeout_seconds", 20.0),
        ("PREFECT_API_DATABASE_CONNECTION_TIMEOUT", "7.5", "database.connect_timeout_seconds", 7.5),
        ("PREFECT_API_DATABASE_MIGRATE_ON_START", "false", "database.migrate_on_start", False),
        ("PREFECT_SERVER_DATABASE_SQLALCHEMY_CONNECT_ARGS_PREPARED_STATEMENT_CACHE_SIZE", "0",
         "database.statement_cache_size", 0),
        ("PREFECT_EVENTS_RETENTION_PERIOD", "2 days", "events.retention_seconds", 172800.0),
        ("PREFECT_SERVER_EVENTS_RETENTION_PERIOD", "172800", "events.retention_seconds", 172800.0),
        ("PREFECT_MESSAGING_BROKER", "prefect_redis.messaging", "events.messaging_broker", "redis"),
        ("PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE", "prefect.server.concurrency.lease_storage.memory",
         "concurrency.lease_storage", "memory"),
        ("PREFECT_SERVER_CONCURRENCY_INITIAL_DEPLOYMENT_LEASE_DURATION", "60",
         "concurrency.initial_deployment_lease_seconds", 60.0),
        ("PREFECT_API_SERVICES_LATE_RUNS_AFTER_SECONDS", "PT1M", "services.late_runs.after_seconds", 60.0),
        ("PREFECT_SERVER_SERVICES_SCHEDULER_MAX_SCHEDULED_TIME", "P1D",
         "services.scheduler.max_scheduled_time_seconds", 86400.0),
        ("PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD", "3601", "services.db_vacuum.retention_seconds", 3601.0),
        ("PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED", "flow_runs", "services.db_vacuum.enabled",
         ("flow_runs", "orphans")),
        ("PREFECT_DEPLOYMENT_CONCURRENCY_SLOT_WAIT_SECONDS", "5", "deployments.concurrency_slot_wait_seconds", 5.0),
        ("PREFECT_TASK_RUN_TAG_CONCURRENCY_SLOT_WAIT_SECONDS", "3", "tasks.tag_slot_wait_seconds", 3.0),
        ("PREFECT_API_TASK_CACHE_KEY_MAX_LENGTH", "100", "tasks.max_cache_key_length", 100),
        ("PREFECT_API_MAX_FLOW_RUN_GRAPH_NODES", "10", "flow_run_graph.max_nodes", 10),
        ("PREFECT_LOGGING_SERVER_LEVEL", "debug", "logging.level", "DEBUG"),
        ("PREFECT_API_ENABLE_METRICS", "1", "metrics_enabled", True),
        ("PREFECT_API_BLOCKS_REGISTER_ON_START", "off", "register_blocks_on_start", False),
        ("PREFECT_UI_ENABLED", "false", "ui.enabled", False),
        ("PREFECT__SERVER_WEBSERVER_ONLY", "0", "webserver_only", True),
        ("PREFECT_SERVER_DOCKET_URL", "redis://r:6379/1", "docket.url", "redis://r:6379/1"),
        ("PREFECT_SERVER_DOCKET_URL", "memory://", "docket.url", None),
        ("prefect_server_api_port", "99", "api.port", 99),
    ],
)  # fmt: skip
def test_names_of_existing_manifests(tmp_path: Path, name: str, text: str, path: str, value: Any) -> None:
    env = {name: text} if name == "PREFECT_HOME" else {name: text, "SEMPRE_HOME": str(tmp_path)}
    assert get(load_settings(env), path) == value


def test_canonical_names_win_over_legacy_ones(home: Path) -> None:
    env = {"PREFECT_SQLALCHEMY_POOL_SIZE": "1", "PREFECT_SERVER_DATABASE_SQLALCHEMY_POOL_SIZE": "2"}
    assert load(home, env).database.pool_size == 2
    assert load(home, {**env, "SEMPRE_SERVER_DATABASE_POOL_SIZE": "3"}).database.pool_size == 3


def test_sources_override_environment_profile_default(home: Path) -> None:
    path = home / "profiles.toml"
    write_profiles(path, Profiles(values={"default": {"SEMPRE_SERVER_API_PORT": "1", "PREFECT_API_URL": "http://x"}}))
    assert load(home).api.port == 1
    assert load(home, {"SEMPRE_SERVER_API_PORT": "2"}).api.port == 2
    assert load(home, {"PREFECT_SERVER_API_PORT": "2"}).api.port == 2
    assert load(home, {"SEMPRE_SERVER_API_PORT": "2"}, **{"api.port": 3}).api.port == 3
    assert load_settings({"SEMPRE_HOME": str(home)}, {"SEMPRE_SERVER_API_PORT": "4", "api.host": None}).api.port == 4
    resolution = resolve_settings({"SEMPRE_HOME": str(home), "PREFECT_SERVER_API_HOST": "h"})
    assert resolution.sources == {
        "home": "SEMPRE_HOME",
        "api.port": "profile default",
        "api.host": "PREFECT_SERVER_API_HOST",
        "ui.api_url": "profile default",
    }
    assert path.stat().st_mode & 0o777 == 0o600


def test_profiles_round_trip_and_selection(home: Path) -> None:
    path = home / "profiles.toml"
    odd = 'a "quoted" \\ väl\nue\x7f'
    write_profiles(path, Profiles(active="b", values={"a": {"SEMPRE_SERVER_API_HOST": odd}, "b": {}, "c d": {}}))
    assert read_profiles(path) == Profiles(
        active="b", values={"a": {"SEMPRE_SERVER_API_HOST": odd}, "b": {}, "c d": {}}
    )
    assert load(home, {"SEMPRE_PROFILE": "a"}).api.host == odd
    assert load(home, {"PREFECT_PROFILE": "not-ours"}).api.host == "127.0.0.1"
    with pytest.raises(SettingsError, match="names no profile"):
        load(home, {"SEMPRE_PROFILE": "zz"})
    path.write_text("active = [")
    with pytest.raises(SettingsError, match=r"profiles\.toml cannot be read"):
        load(home)


def test_empty_means_unset(home: Path) -> None:
    assert load(home, {"PREFECT_SERVER_DOCKET_URL": "", "PREFECT_SERVER_API_PORT": ""}) == load(home)


@pytest.mark.parametrize(
    ("given", "dsn"),
    [
        ("postgresql+asyncpg://u:p@h:5/db", "postgresql://u:p@h:5/db"),
        ("postgres://u@h/db?ssl=require", "postgresql://u@h/db?sslmode=require"),
        ("postgresql://h1:1,h2:2/db?target_session_attrs=read-write",
         "postgresql://h1:1,h2:2/db?target_session_attrs=read-write"),
        ("postgresql://u@/db?host=/run/pg", "postgresql://u@/db?host=/run/pg"),
        ("postgresql://u:${PREFECT_API_DATABASE_PASSWORD}@h/db", "postgresql://u:s3/cret@h/db"),
        ("postgresql://u:${SEMPRE_SERVER_DATABASE_PASSWORD}@h/db", "postgresql://u:s3/cret@h/db"),
    ],
)  # fmt: skip
def test_database_url_is_what_the_driver_reads(home: Path, given: str, dsn: str) -> None:
    env = {"PREFECT_API_DATABASE_CONNECTION_URL": given}
    if "${" in given:
        env["PREFECT_SERVER_DATABASE_PASSWORD"] = "s3/cret"
    assert load(home, env).database.connection_url == dsn


def test_database_url_options_of_drivers_become_settings(home: Path) -> None:
    url = "postgresql+asyncpg://h/db?prepared_statement_cache_size=0&default_transaction_isolation=serializable"
    database = load(home, {"SEMPRE_SERVER_DATABASE_CONNECTION_URL": url}).database
    assert database.connection_url == "postgresql://h/db?default_transaction_isolation=serializable"
    assert database.statement_cache_size == 0


def test_database_url_from_parts(home: Path) -> None:
    env = {"HOST": "db", "USER": "u@x", "NAME": "n", "PASSWORD": "p/w", "DRIVER": "postgresql+asyncpg"}
    settings = load(home, {f"PREFECT_SERVER_DATABASE_{key}": value for key, value in env.items()})
    assert settings.database.connection_url == "postgresql://u%40x:p%2Fw@db:5432/n"
    with pytest.raises(SettingsError, match="Missing required database connection settings: user, name"):
        load(home, {"PREFECT_SERVER_DATABASE_HOST": "db"})


@pytest.mark.parametrize("name", ["PREFECT_API_DATABASE_CONNECTION_URL", "PREFECT_SERVER_DATABASE_DRIVER"])
def test_sqlite_is_refused_with_what_to_set(home: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=r"Postgres only.*SEMPRE_SERVER_DATABASE_CONNECTION_URL=postgresql://"):
        load(home, {name: "sqlite+aiosqlite:///x.db"})


def test_a_password_without_use_or_a_use_without_password(home: Path) -> None:
    url = {"PREFECT_API_DATABASE_CONNECTION_URL": "postgresql://u:${PREFECT_API_DATABASE_PASSWORD}@h/d"}
    with pytest.raises(SettingsError, match="SEMPRE_SERVER_DATABASE_PASSWORD is not set"):
        load(home, url)
    env = {"SEMPRE_HOME": str(home), "SEMPRE_SERVER_DATABASE_CONNECTION_URL": "postgresql://h/d",
           "PREFECT_API_DATABASE_PASSWORD": "x"}  # fmt: skip
    assert ["has no effect" in warning for warning in resolve_settings(env).warnings] == [True]


def test_larger_of_two_explicit_timeouts_bounds_migrations(home: Path) -> None:
    both = {"SEMPRE_SERVER_DATABASE_MIGRATION_TIMEOUT_SECONDS": "60", "PREFECT_API_DATABASE_TIMEOUT": "600"}
    assert load(home, both).database.migration_timeout_seconds == 600
    assert load(home, {"PREFECT_API_DATABASE_TIMEOUT": "600"}).database.migration_timeout_seconds is None


def test_redis_url_from_parts_and_by_default(home: Path) -> None:
    assert load(home).redis.url is None
    parts = {"HOST": "r", "PORT": "7", "DB": "2", "USERNAME": "u", "PASSWORD": "p@", "SSL": "true"}
    settings = load(home, {f"PREFECT_REDIS_MESSAGING_{key}": value for key, value in parts.items()})
    assert settings.redis.url == "rediss://u:p%40@r:7/2"
    assert settings.events.messaging_broker == "redis"
    assert load(home, {"PREFECT_MESSAGING_BROKER": "prefect_redis.messaging"}).redis.url == "redis://localhost:6379/0"
    with pytest.raises(SettingsError, match=r"redis\+cluster"):
        load(home, {"SEMPRE_REDIS_URL": "redis+cluster://h"})
    env = {"SEMPRE_REDIS_URL": "redis://a", "PREFECT_REDIS_MESSAGING_HOST": "b", "SEMPRE_HOME": str(home)}
    assert "PREFECT_REDIS_MESSAGING_HOST is ignored" in resolve_settings(env).warnings[0]


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("SEMPRE_SERVER_API_PORT", "abc", "is not a whole number"),
        ("SEMPRE_SERVER_API_PORT", "70000", "the most is 65535"),
        ("SEMPRE_METRICS_ENABLED", "x", None),
        ("PREFECT_SERVER_METRICS_ENABLED", "maybe", "write true or false"),
        ("PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD", "3600", "too small"),
        ("PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED", "events,logs", "names logs"),
        ("PREFECT_SERVER_SERVICES_DB_VACUUM_EVENT_RETENTION_OVERRIDES", "[]", "JSON object"),
        ("PREFECT_MESSAGING_BROKER", "my.module", "PREFECT_MESSAGING_BROKER='my.module' is not a backend"),
        ("PREFECT_SERVER_DOCKET_URL", "http://x", "has the scheme 'http'"),
        ("SEMPRE_SERVER_LOGGING_LEVEL", "loud", "not a log level"),
        ("SEMPRE_SERVER_EVENTS_RETENTION_SECONDS", "soon", "is not a duration"),
    ],
)
def test_bad_values_are_named(home: Path, name: str, text: str, match: str | None) -> None:
    if match is None:
        assert load(home, {name: text}) == load(home)
        return
    with pytest.raises(SettingsError, match=match):
        load(home, {name: text})


def test_all_problems_at_once(home: Path) -> None:
    with pytest.raises(SettingsError, match=r"METRICS_ENABLED.*; .*API_PORT"):
        load(home, {"SEMPRE_SERVER_METRICS_ENABLED": "x", "SEMPRE_SERVER_API_PORT": "x"})


def test_secrets_never_show(home: Path) -> None:
    settings = load(
        home,
        {"SEMPRE_SERVER_API_AUTH_STRING": "admin:hush", "SEMPRE_REDIS_URL": "redis://:hush@h",
         "PREFECT_API_DATABASE_CONNECTION_URL": "postgresql://u:hush@h/d"},
    )  # fmt: skip
    assert "hush" not in repr(settings)
    with pytest.raises(SettingsError) as caught:
        load(home, {"PREFECT_API_DATABASE_CONNECTION_URL": "mysql://u:hush@h/d"})
    assert "hush" not in str(caught.value)


def test_unknown_names(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    env = {"PREFECT_NO_SUCH": "1", "SEMPRE_SERVER_API_PROT": "1", "SEMPRE_WORKER_QUERY_SECONDS": "5",
           "SEMPRE_SERVER_DATABASE_SQLALCHEMY_POOL_SIZE": "5", "SEMPRE_API_URL": "http://x"}  # fmt: skip
    with caplog.at_level(logging.WARNING, logger="sempre.settings"):
        load(home, env)
    assert [record.getMessage().partition("; ")[2] for record in caplog.records] == [
        "did you mean SEMPRE_SERVER_API_PORT?",
        "did you mean SEMPRE_SERVER_DATABASE_POOL_SIZE?",
    ]
    with pytest.raises(SettingsError, match="did you mean SEMPRE_SERVER_API_PORT"):
        load(home, SEMPRE_SERVER_API_PROT="1")


def test_the_tree_is_frozen(home: Path) -> None:
    settings = load(home)
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.api.port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("0.5", 0.5), ("15s", 15), ("2h30m", 9000), ("2 days", 172800), ("1 day, 2:00:00", 93600),
     ("1:00:00", 3600), ("P2D", 172800), ("PT5M", 300), ("P1DT12H", 129600), ("PT0.5S", 0.5), ("250ms", 0.25),
     ("1 week", 604800)],
)  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "soon", "P", "PT", "5 parsecs", "1:00", "--5", "nan", "inf"])
def test_not_durations(text: str) -> None:
    with pytest.raises(ValueError):
        parse_duration(text)


def test_vacuum_and_base_path() -> None:
    assert parse_vacuum("true") == ("events", "flow_runs", "orphans")
    assert parse_vacuum("false") == ("events",)
    assert parse_vacuum("orphans, events") == ("events", "orphans")
    assert [parse_base_path(text) for text in ("/api", "api/", "/", "/a/b/")] == ["/api", "/api", "", "/a/b"]


def test_tls_and_session_settings(home: Path) -> None:
    database = load(home).database
    assert database.ssl_context() is None
    assert database.server_settings() == {"application_name": "sempre"}
    tls = load(home, {"SEMPRE_SERVER_DATABASE_TLS_ENABLED": "true", "SEMPRE_SERVER_DATABASE_SEARCH_PATH": "s"}).database
    context = tls.ssl_context()
    assert context is not None
    assert context.check_hostname
    assert tls.server_settings()["search_path"] == "s"
