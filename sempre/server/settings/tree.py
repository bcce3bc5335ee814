"""The whole tree of settings, and the list of every setting in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from sempre.server.settings.database import DatabaseSettings
from sempre.server.settings.sections import (
    ApiSettings,
    ConcurrencySettings,
    DeploymentsSettings,
    DocketSettings,
    EventsSettings,
    FlowRunGraphSettings,
    LoggingSettings,
    LogsSettings,
    RedisSettings,
    TasksSettings,
    UiSettings,
    WorkerChannelSettings,
)
from sempre.server.settings.services import ServicesSettings
from sempre.settings.fields import setting
from sempre.settings.listing import SettingInfo, walk
from sempre.settings.profiles import default_home


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything a server process can be told, read once and frozen. Build it with `load_settings`."""

    prefix: ClassVar[str] = ""
    compatible: ClassVar[tuple[str, ...]] = ("PREFECT_",)

    home: Path = setting(factory=default_home, doc="Directory of local state: embedded Postgres, profiles, pid files.")
    debug_mode: bool = setting(False, "Log everything at DEBUG.")
    webserver_only: bool = setting(
        False,
        "API without background services, as `server start --no-services`.",
        name="SERVER_WEBSERVER_ONLY",
        aliases=("PREFECT__SERVER_WEBSERVER_ONLY",),
    )
    metrics_enabled: bool = setting(
        False,
        "Serve Prometheus metrics under /metrics of the API.",
        name="SERVER_METRICS_ENABLED",
        aliases=("PREFECT_SERVER_METRICS_ENABLED", "PREFECT_API_ENABLE_METRICS"),
    )
    log_retryable_errors: bool = setting(
        False,
        "Log every request that is answered with 503 while Postgres is known to be away, too. That it went and came "
        "back is logged in any case, and so is a 503 for another reason.",
        name="SERVER_LOG_RETRYABLE_ERRORS",
        aliases=("PREFECT_SERVER_LOG_RETRYABLE_ERRORS", "PREFECT_API_LOG_RETRYABLE_ERRORS"),
    )
    register_blocks_on_start: bool = setting(
        True,
        "Write the built-in block types when the API starts.",
        name="SERVER_REGISTER_BLOCKS_ON_START",
        aliases=("PREFECT_SERVER_REGISTER_BLOCKS_ON_START", "PREFECT_API_BLOCKS_REGISTER_ON_START"),
    )
    encryption_key: str | None = setting(
        None,
        "Fernet key for secrets in block documents. Unset: one made on first use and kept in the database.",
        name="SERVER_ENCRYPTION_KEY",
        aliases=("PREFECT_SERVER_ENCRYPTION_KEY", "ORION_ENCRYPTION_KEY"),
        secret=True,
    )
    encryption_old_keys: str | None = setting(
        None,
        "Fernet keys, separated by commas, that block documents may still be encrypted with. What is found under one "
        "of them, or under the key kept in the database, is encrypted anew at the start.",
        name="SERVER_ENCRYPTION_OLD_KEYS",
        secret=True,
    )

    database: DatabaseSettings = field(default_factory=DatabaseSettings)
    api: ApiSettings = field(default_factory=ApiSettings)
    services: ServicesSettings = field(default_factory=ServicesSettings)
    events: EventsSettings = field(default_factory=EventsSettings)
    logs: LogsSettings = field(default_factory=LogsSettings)
    concurrency: ConcurrencySettings = field(default_factory=ConcurrencySettings)
    worker_channel: WorkerChannelSettings = field(default_factory=WorkerChannelSettings)
    deployments: DeploymentsSettings = field(default_factory=DeploymentsSettings)
    tasks: TasksSettings = field(default_factory=TasksSettings)
    flow_run_graph: FlowRunGraphSettings = field(default_factory=FlowRunGraphSettings)
    logging: LoggingSettings = field(default_factory=LoggingSettings)
    ui: UiSettings = field(default_factory=UiSettings)
    redis: RedisSettings = field(default_factory=RedisSettings)
    docket: DocketSettings = field(default_factory=DocketSettings)


@lru_cache(maxsize=1)
def describe() -> tuple[SettingInfo, ...]:
    """Every setting, in the order of the tree."""
    return tuple(walk(Settings))
