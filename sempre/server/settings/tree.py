"""The whole tree of settings, and the list of every setting in it."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Union, get_args, get_origin, get_type_hints

from sempre.server.settings.database import DatabaseSettings
from sempre.server.settings.fields import FieldSpec, default_of, setting, spec_of
from sempre.server.settings.parse import (
    parse_bool,
    parse_duration,
    parse_float,
    parse_int,
    parse_list,
    parse_path,
)
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


def default_home() -> Path:
    """`~/.sempre`."""
    return Path("~/.sempre").expanduser()


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


@dataclass(frozen=True, kw_only=True)
class SettingInfo:
    """One setting: `path` in the tree, the documented `name`, `aliases` in order of precedence, and the rest."""

    path: str
    name: str
    aliases: tuple[str, ...]
    type: str
    default: Any
    doc: str
    secret: bool
    parse: Callable[[str], Any]
    spec: FieldSpec


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, types.UnionType):
        return next(part for part in get_args(annotation) if part is not type(None))
    return annotation


def _parser(field_name: str, annotation: Any, spec: FieldSpec) -> tuple[str, Callable[[str], Any]]:
    """(type shown to people, parser) of a field."""
    bare = _without_none(annotation)
    shown: str
    parse: Callable[[str], Any]
    if bare is float and field_name.endswith("_seconds"):
        shown, parse = "duration", parse_duration
    elif get_origin(bare) is tuple:
        shown, parse = "list", parse_list
    elif get_origin(bare) is dict:
        shown, parse = "json", parse_list
    else:
        known: dict[Any, tuple[str, Callable[[str], Any]]] = {
            bool: ("bool", parse_bool),
            int: ("int", parse_int),
            float: ("float", parse_float),
            str: ("str", str),
            Path: ("path", parse_path),
        }
        shown, parse = known[bare]
    return shown, spec.parse or parse


def _names(section: Any, declared: dataclasses.Field[Any], spec: FieldSpec) -> tuple[str, tuple[str, ...]]:
    upper = declared.name.upper()
    name = f"SEMPRE_{spec.name or section.prefix + upper}"
    suffixes = spec.suffixes or (upper,)
    # Canonical names of every suffix come before legacy ones: canonical wins when both are set.
    derived = () if spec.name else tuple(f"{prefix}{suffix}" for prefix in section.compatible for suffix in suffixes)
    return name, (*derived, *spec.aliases)


def _walk(section: Any, path: str) -> Iterator[SettingInfo]:
    hints = get_type_hints(section)
    for declared in dataclasses.fields(section):
        here = f"{path}{declared.name}"
        spec = spec_of(declared)
        if spec is None:
            yield from _walk(hints[declared.name], f"{here}.")
            continue
        name, aliases = _names(section, declared, spec)
        shown, parse = _parser(declared.name, hints[declared.name], spec)
        yield SettingInfo(
            path=here,
            name=name,
            aliases=aliases,
            type=shown,
            default=default_of(declared),
            doc=spec.doc,
            secret=spec.secret,
            parse=parse,
            spec=spec,
        )


@lru_cache(maxsize=1)
def describe() -> tuple[SettingInfo, ...]:
    """Every setting, in the order of the tree."""
    return tuple(_walk(Settings, ""))
