"""Settings of everything that calls the API: scripts, runs, workers and the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from sempre.settings.fields import setting
from sempre.settings.layers import Resolution, build, did_you_mean, read_layers
from sempre.settings.listing import SettingInfo, all_names, walk
from sempre.settings.parse import parse_codes, parse_text_map
from sempre.settings.players import (
    DeploymentsSettings,
    FlowsSettings,
    LoggingSettings,
    ResultsSettings,
    RunnerSettings,
    TasksSettings,
    WorkerSettings,
)
from sempre.settings.profiles import default_home

# Names with these beginnings are ours alone: one of them that is unknown is a slip.
_OWN_PREFIXES = (
    "SEMPRE_API_", "SEMPRE_CLIENT_", "SEMPRE_DEPLOYMENTS_", "SEMPRE_FLOWS_", "SEMPRE_LOGGING_", "SEMPRE_RESULTS_",
    "SEMPRE_RUNNER_", "SEMPRE_TASKS_", "SEMPRE_WORKER_",
)  # fmt: skip


def parse_api_url(text: str) -> str:
    """An http(s) URL without a slash at its end."""
    url = text.strip().rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is not an address; write for instance http://127.0.0.1:4200/api")
    return url


@dataclass(frozen=True, kw_only=True)
class ApiSettings:
    """Where the API is and how to get in."""

    prefix: ClassVar[str] = "API_"
    compatible: ClassVar[tuple[str, ...]] = ("PREFECT_API_",)

    url: str | None = setting(
        None, "Address of the API, ending in its base path: http://127.0.0.1:4200/api. Unset: a local server is "
        "started or found.", parse=parse_api_url,
    )  # fmt: skip
    key: str | None = setting(None, "Sent as a bearer token.", secret=True)
    auth_string: str | None = setting(None, "`user:password`, sent by HTTP Basic. Wins over the key.", secret=True)
    request_timeout_seconds: float = setting(
        60.0, "Longest a request waits for connecting, and for each part of the answer.",
        suffixes=("REQUEST_TIMEOUT",), minimum=0.1,
    )  # fmt: skip
    ssl_cert_file: Path | None = setting(
        None, "CA bundle that the API's certificate is checked with. Unset: the usual ones."
    )
    tls_insecure_skip_verify: bool = setting(False, "Do not check the API's certificate. For experiments only.")
    enable_http2: bool = setting(False, "Accepted for existing manifests; HTTP/1.1 is used.")


@dataclass(frozen=True, kw_only=True)
class TransportSettings:
    """How calls are made, and what happens while the API is away."""

    prefix: ClassVar[str] = "CLIENT_"
    compatible: ClassVar[tuple[str, ...]] = ("PREFECT_CLIENT_",)

    patience_seconds: float = setting(
        900.0, "How long a call is repeated while the API cannot be reached or asks to wait. The command line has 10.",
        minimum=0,
    )  # fmt: skip
    retry_extra_codes: tuple[int, ...] = setting(
        (), "Comma list of HTTP statuses to repeat a call on, beside 408, 429, 502 and 503.", parse=parse_codes
    )
    custom_headers: dict[str, str] = setting(
        factory=dict, doc="JSON object of headers for every request and websocket.", parse=parse_text_map
    )
    csrf_support_enabled: bool = setting(True, "Ask the API for a CSRF token before changing something.")
    journal_size_bytes: int = setting(
        256 * 1024 * 1024, "Most bytes of events, logs and state changes kept on disk while the API is away. Past it "
        "the oldest logs are dropped.", minimum=1024 * 1024,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class LocalServerSettings:
    """The local server that is used when no address of an API is set."""

    prefix: ClassVar[str] = "SERVER_EPHEMERAL_"
    compatible: ClassVar[tuple[str, ...]] = ("PREFECT_SERVER_EPHEMERAL_",)

    enabled: bool = setting(
        True, "Start a local server, or use the one that runs, when no address of an API is set.",
        aliases=("PREFECT_SERVER_ALLOW_EPHEMERAL_MODE",),
    )  # fmt: skip
    startup_timeout_seconds: float = setting(60.0, "Longest to wait for it.", minimum=1)


@dataclass(frozen=True, kw_only=True)
class ClientSettings:
    """Everything a client can be told, read once and frozen. `get_current_settings()` has those in force."""

    prefix: ClassVar[str] = ""
    compatible: ClassVar[tuple[str, ...]] = ("PREFECT_",)

    home: Path = setting(factory=default_home, doc="Directory of local state: profiles, results, the journal.")
    debug_mode: bool = setting(False, "Log everything at DEBUG.")
    ui_url: str | None = setting(None, "Address of the UI, for links to runs. Unset: the API's, without its base path.")
    profile: str = "default"
    profiles_path: Path = field(default_factory=lambda: default_home() / "profiles.toml")

    api: ApiSettings = field(default_factory=ApiSettings)
    client: TransportSettings = field(default_factory=TransportSettings)
    local_server: LocalServerSettings = field(default_factory=LocalServerSettings)
    logging: LoggingSettings = field(default_factory=LoggingSettings)
    results: ResultsSettings = field(default_factory=ResultsSettings)
    flows: FlowsSettings = field(default_factory=FlowsSettings)
    tasks: TasksSettings = field(default_factory=TasksSettings)
    deployments: DeploymentsSettings = field(default_factory=DeploymentsSettings)
    runner: RunnerSettings = field(default_factory=RunnerSettings)
    worker: WorkerSettings = field(default_factory=WorkerSettings)

    @property
    def storage_path(self) -> Path:
        """Where results are kept that name no other storage."""
        return self.results.local_storage_path or self.home / "storage"


@lru_cache(maxsize=1)
def describe() -> tuple[SettingInfo, ...]:
    """Every setting, in the order of the tree."""
    return tuple(walk(ClientSettings))


def resolve_client_settings(
    env: Mapping[str, str] | None = None, overrides: Mapping[str, Any] | None = None
) -> Resolution[ClientSettings]:
    """Settings from, strongest first: `overrides` (dotted path or name to value), `env` (default: the process's), the
    active profile, defaults; with the origin of every value. Raises SettingsError naming every bad value at once."""
    reading = read_layers(describe(), env, overrides)
    reading.check()
    reading.values |= {"profile": reading.profile, "profiles_path": reading.profiles_path}
    warnings = _unknown_names(reading.environment) + _unknown_names(reading.profile_values)
    settings = build(ClientSettings(), reading.values)
    return Resolution(settings, reading.sources, tuple(warnings), reading.profile, reading.profiles_path)


def _unknown_names(names: Mapping[str, str]) -> list[str]:
    known = all_names(describe())
    return [
        f"{name} is not a setting of clients and has no effect{did_you_mean(describe(), name)}"
        for name in sorted(names)
        if name.startswith(_OWN_PREFIXES) and name not in known
    ]


_temporary: ContextVar[ClientSettings | None] = ContextVar("sempre_settings", default=None)


@lru_cache(maxsize=1)
def _of_process() -> ClientSettings:
    import logging

    resolution = resolve_client_settings()
    for warning in resolution.warnings:
        logging.getLogger("sempre.settings").warning(warning)
    return resolution.settings


def get_current_settings() -> ClientSettings:
    """The settings in force here: those of `temporary_settings` around the caller, else the process's, which are read
    once. Raises SettingsError naming every bad value at once."""
    return _temporary.get() or _of_process()


def forget_settings() -> None:
    """Read environment and profile anew at the next use."""
    _of_process.cache_clear()


@contextmanager
def temporary_settings(overrides: Mapping[str, Any] | None = None, /, **named: Any) -> Iterator[ClientSettings]:
    """Other settings for the code inside: dotted paths or names to values, such as `{"api.url": ...}` or
    `SEMPRE_API_URL=...`. They build on what is in force; raises SettingsError for a name or value that is none."""
    before = get_current_settings()
    reading = read_layers(describe(), {"SEMPRE_HOME": str(before.home)}, {**(overrides or {}), **named})
    reading.check()
    changed = {path: value for path, value in reading.values.items() if reading.sources.get(path) == "override"}
    token = _temporary.set(build(before, changed))
    try:
        yield get_current_settings()
    finally:
        _temporary.reset(token)
