"""Settings of clients: names, sources, and what is in force where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sempre.server.settings import describe as describe_server
from sempre.settings import (
    ClientSettings,
    Profiles,
    SettingsError,
    get_current_settings,
    resolve_client_settings,
    temporary_settings,
    write_profiles,
)
from sempre.settings.client import describe

SHARED = {"SEMPRE_HOME", "SEMPRE_DEBUG_MODE", "SEMPRE_UI_URL"}


def load(home: Path, **env: str) -> ClientSettings:
    return resolve_client_settings({"SEMPRE_HOME": str(home), **env}).settings


def get(settings: ClientSettings, path: str) -> Any:
    value: Any = settings
    for part in path.split("."):
        value = getattr(value, part)
    return value


def test_names_are_documented_and_mean_one_thing() -> None:
    names = [name for info in describe() for name in (info.name, *info.aliases)]
    assert len(names) == len(set(names))
    assert {info.name for info in describe()} & {info.name for info in describe_server()} <= SHARED
    for info in describe():
        assert info.doc.strip(), info.name
        assert get(ClientSettings(), info.path) == info.default


@pytest.mark.parametrize(
    ("name", "text", "path", "value"),
    [
        ("PREFECT_API_URL", "https://h/api/", "api.url", "https://h/api"),
        ("PREFECT_API_KEY", "k", "api.key", "k"),
        ("PREFECT_API_AUTH_STRING", "u:p", "api.auth_string", "u:p"),
        ("PREFECT_API_REQUEST_TIMEOUT", "5", "api.request_timeout_seconds", 5.0),
        ("PREFECT_API_TLS_INSECURE_SKIP_VERIFY", "true", "api.tls_insecure_skip_verify", True),
        ("PREFECT_API_SSL_CERT_FILE", "/x.pem", "api.ssl_cert_file", Path("/x.pem")),
        ("PREFECT_CLIENT_CUSTOM_HEADERS", '{"X-A": "b"}', "client.custom_headers", {"X-A": "b"}),
        ("PREFECT_CLIENT_RETRY_EXTRA_CODES", "500,504", "client.retry_extra_codes", (500, 504)),
        ("PREFECT_CLIENT_CSRF_SUPPORT_ENABLED", "0", "client.csrf_support_enabled", False),
        ("SEMPRE_CLIENT_PATIENCE_SECONDS", "15m", "client.patience_seconds", 900.0),
        ("PREFECT_SERVER_ALLOW_EPHEMERAL_MODE", "false", "local_server.enabled", False),
        ("PREFECT_LOGGING_LEVEL", "debug", "logging.level", "DEBUG"),
        ("PREFECT_LOGGING_TO_API_ENABLED", "no", "logging.to_api_enabled", False),
        ("PREFECT_LOGGING_TO_API_BATCH_INTERVAL", "0.5", "logging.to_api_batch_interval_seconds", 0.5),
        ("PREFECT_LOCAL_STORAGE_PATH", "/r", "results.local_storage_path", Path("/r")),
        ("PREFECT_RESULTS_PERSIST_BY_DEFAULT", "true", "results.persist_by_default", True),
        ("PREFECT_FLOW_DEFAULT_RETRIES", "2", "flows.default_retries", 2),
        ("PREFECT_TASKS_DEFAULT_RETRY_DELAY_SECONDS", "3", "tasks.default_retry_delay_seconds", 3.0),
        ("PREFECT_FLOWS_HEARTBEAT_FREQUENCY", "60", "flows.heartbeat_frequency", 60.0),
        ("PREFECT_WORKER_QUERY_SECONDS", "5", "worker.query_seconds", 5.0),
        ("PREFECT_RUNNER_PROCESS_LIMIT", "9", "runner.process_limit", 9),
        ("PREFECT_DEFAULT_WORK_POOL_NAME", "p", "deployments.default_work_pool_name", "p"),
    ],
)
def test_names_of_existing_environments(tmp_path: Path, name: str, text: str, path: str, value: Any) -> None:
    assert get(load(tmp_path, **{name: text}), path) == value


def test_sources(tmp_path: Path) -> None:
    write_profiles(tmp_path / "profiles.toml", Profiles(active="a", values={"a": {"PREFECT_API_URL": "http://a/api"}}))
    resolution = resolve_client_settings({"SEMPRE_HOME": str(tmp_path)})
    assert resolution.settings.api.url == "http://a/api"
    assert resolution.settings.profile == "a"
    assert resolution.sources["api.url"] == "profile a"
    assert load(tmp_path, SEMPRE_API_URL="http://b").api.url == "http://b"
    overridden = resolve_client_settings({"SEMPRE_HOME": str(tmp_path)}, {"api.url": "http://c"})
    assert overridden.settings.api.url == "http://c"


@pytest.mark.parametrize("url", ["localhost:4200", "ftp://x", "http://"])
def test_an_address_is_one(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError, match="is not an address"):
        load(tmp_path, SEMPRE_API_URL=url)


def test_a_slip_is_named(tmp_path: Path) -> None:
    (warning,) = resolve_client_settings({"SEMPRE_HOME": str(tmp_path), "SEMPRE_API_ULR": "x"}).warnings
    assert "did you mean SEMPRE_API_URL" in warning


def test_temporary_settings_nest_and_end() -> None:
    before = get_current_settings()
    with temporary_settings({"api.url": "http://x/api"}, SEMPRE_API_AUTH_STRING="u:p") as outer:
        with temporary_settings({"logging.level": "DEBUG"}) as inner:
            assert (inner.api.url, inner.logging.level) == ("http://x/api", "DEBUG")
        assert get_current_settings() is outer
        assert "u:p" not in repr(outer)
    assert get_current_settings() == before
