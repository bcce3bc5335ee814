"""The database section: where Postgres is, how many connections, which time limits."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import parse_qsl, quote, urlencode

from sempre.settings.fields import setting

SQLITE_REFUSAL = (
    "asks for SQLite, and Sempre keeps its state in Postgres only. Leave it unset to use the embedded Postgres "
    "(nothing to install), or set SEMPRE_SERVER_DATABASE_CONNECTION_URL=postgresql://user:password@host:5432/name"
)

_SCHEMES = ("postgresql", "postgres")
_CACHE_OPTIONS = ("statement_cache_size", "prepared_statement_cache_size")


def parse_database_url(text: str) -> str:
    """A Postgres URL, whatever driver suffix it carries, in the form asyncpg reads."""
    scheme, separator, rest = text.strip().partition("://")
    dialect = scheme.split("+", 1)[0].lower()
    if dialect == "sqlite":
        raise ValueError(SQLITE_REFUSAL)
    if not separator or dialect not in _SCHEMES:
        raise ValueError("is not a Postgres URL; write postgresql://user:password@host:5432/name")
    return f"postgresql://{rest}"


def parse_database_driver(text: str) -> str:
    """The driver name of existing manifests: any Postgres driver means ours."""
    dialect = text.strip().split("+", 1)[0].lower()
    if dialect == "sqlite":
        raise ValueError(SQLITE_REFUSAL)
    if dialect not in _SCHEMES:
        raise ValueError("is not a Postgres driver; write postgresql+asyncpg")
    return "postgresql+asyncpg"


def compose_database_url(*, host: str, port: int, user: str, password: str | None, name: str) -> str:
    """A URL from its parts, each of them quoted."""
    credentials = quote(user, safe="")
    if password is not None:
        credentials += ":" + quote(password, safe="")
    return f"postgresql://{credentials}@{host}:{port}/{quote(name, safe='')}"


def split_driver_options(url: str) -> tuple[str, int | None]:
    """(URL without options that belong to a driver, statement cache size named in it or None).

    URLs written for SQLAlchemy carry `ssl=` where libpq and asyncpg say `sslmode=`, and cache sizes that asyncpg
    would send to the server as settings, which the server refuses.
    """
    base, separator, query = url.partition("?")
    if not separator:
        return url, None
    cache_size: int | None = None
    kept: list[tuple[str, str]] = []
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key in _CACHE_OPTIONS:
            if not value.isdigit():
                raise ValueError(f"has {key}={value!r}, which is not a whole number")
            cache_size = int(value) if cache_size is None else min(cache_size, int(value))
        elif key == "ssl":
            kept.append(("sslmode", {"true": "require", "false": "disable"}.get(value.lower(), value)))
        else:
            kept.append((key, value))
    return (f"{base}?{urlencode(kept, safe='/,')}" if kept else base), cache_size


def missing_parts(parts: Iterable[tuple[str, str | None]]) -> str:
    """The names of the parts that are not set, comma separated."""
    return ", ".join(name for name, value in parts if not value)


@dataclass(frozen=True, kw_only=True)
class DatabaseSettings:
    """Postgres. With neither a URL nor a host the embedded server under the home directory is used."""

    prefix: ClassVar[str] = "SERVER_DATABASE_"
    compatible: ClassVar[tuple[str, ...]] = ("PREFECT_SERVER_DATABASE_", "PREFECT_API_DATABASE_")

    connection_url: str | None = setting(
        None,
        "Postgres URL. Wins over the separate fields. Several hosts and `target_session_attrs=read-write` work. "
        "`${SEMPRE_SERVER_DATABASE_PASSWORD}` in it is replaced by the password. Unset: embedded Postgres.",
        secret=True,
    )
    driver: str | None = setting(
        None, "Accepted for existing manifests; every Postgres driver means ours.", parse=parse_database_driver
    )
    host: str | None = setting(None, "Server host, when no URL is given.")
    port: int = setting(5432, "Server port, when no URL is given.", minimum=1, maximum=65535)
    user: str | None = setting(None, "User, when no URL is given.")
    name: str | None = setting(None, "Database name, when no URL is given.")
    password: str | None = setting(None, "Password, when no URL is given or when the URL refers to it.", secret=True)
    migrate_on_start: bool = setting(True, "The API process brings the schema up to date before it serves.")
    statement_timeout_seconds: float = setting(
        10.0, "Longest a statement may take.", suffixes=("TIMEOUT",), minimum=0.1
    )
    connect_timeout_seconds: float = setting(
        5.0, "Longest a connection attempt may take.", suffixes=("CONNECTION_TIMEOUT",), minimum=0.1
    )
    migration_timeout_seconds: float | None = setting(
        None, "Longest a migration statement may take. Unset: no limit.", suffixes=("MIGRATION_TIMEOUT",), minimum=0.001
    )
    pool_size: int = setting(
        10,
        "Most connections one process keeps open.",
        suffixes=("SQLALCHEMY_POOL_SIZE",),
        aliases=("PREFECT_SQLALCHEMY_POOL_SIZE",),
        minimum=1,
    )
    pool_overflow: int = setting(
        0,
        "Connections beyond pool_size that one process may open under load.",
        suffixes=("SQLALCHEMY_MAX_OVERFLOW",),
        aliases=("PREFECT_SQLALCHEMY_MAX_OVERFLOW",),
        minimum=0,
    )
    pool_timeout_seconds: float = setting(
        30.0,
        "Longest a request waits for a free connection; past it the answer is 503.",
        suffixes=("SQLALCHEMY_POOL_TIMEOUT",),
        minimum=0,
    )
    pool_recycle_seconds: float = setting(
        3600.0,
        "An idle connection older than this is replaced.",
        suffixes=("SQLALCHEMY_POOL_RECYCLE",),
        minimum=0,
    )
    application_name: str | None = setting(
        None,
        "Name shown in pg_stat_activity. Unset: sempre.",
        suffixes=("SQLALCHEMY_CONNECT_ARGS_APPLICATION_NAME",),
    )
    search_path: str | None = setting(
        None, "Schema search path of every connection.", suffixes=("SQLALCHEMY_CONNECT_ARGS_SEARCH_PATH",)
    )
    statement_cache_size: int | None = setting(
        None,
        "Prepared statements cached per connection. 0 behind a transaction-mode pooler. Unset: the driver's default.",
        suffixes=(
            "SQLALCHEMY_CONNECT_ARGS_STATEMENT_CACHE_SIZE",
            "SQLALCHEMY_CONNECT_ARGS_PREPARED_STATEMENT_CACHE_SIZE",
        ),
        minimum=0,
    )
    tls_enabled: bool = setting(
        False, "Require TLS with a verified certificate.", suffixes=("SQLALCHEMY_CONNECT_ARGS_TLS_ENABLED",)
    )
    tls_ca_file: str | None = setting(
        None, "CA bundle. Unset: the system's.", suffixes=("SQLALCHEMY_CONNECT_ARGS_TLS_CA_FILE",)
    )
    tls_cert_file: str | None = setting(
        None, "Client certificate.", suffixes=("SQLALCHEMY_CONNECT_ARGS_TLS_CERT_FILE",)
    )
    tls_key_file: str | None = setting(
        None, "Key of the client certificate.", suffixes=("SQLALCHEMY_CONNECT_ARGS_TLS_KEY_FILE",)
    )
    tls_check_hostname: bool = setting(
        True,
        "The certificate must name the host that is connected to.",
        suffixes=("SQLALCHEMY_CONNECT_ARGS_TLS_CHECK_HOSTNAME",),
    )
    echo: bool = setting(False, "Log every statement.")
    read_url: str | None = setting(
        None,
        "Postgres URL of a streaming read replica. Lists, counts and histories are read from it while it is as recent "
        "as the primary; passwords as in the connection URL. Unset: everything is read from the primary.",
        secret=True,
        suffixes=("READ_URL", "READ_REPLICA_URL"),
    )
    read_max_lag_seconds: float = setting(
        1.0,
        "Longest a list waits for the read replica to catch up with what was committed before. One that is further "
        "behind is not asked.",
        minimum=0.01,
    )

    def server_settings(self) -> dict[str, str]:
        """Session settings for `asyncpg.connect(server_settings=...)`."""
        session = {"application_name": self.application_name or "sempre"}
        if self.search_path:
            session["search_path"] = self.search_path
        return session

    def migration_options(self) -> dict[str, Any]:
        """What migrations connect with, for `asyncpg.connect`. Raises OSError as `ssl_context` does.

        Statements of migrations have a limit only where one was asked for. Older manifests raise the general limit
        for that purpose, so the longer of the two holds.
        """
        options: dict[str, Any] = {"server_settings": self.server_settings()}
        if self.migration_timeout_seconds is not None:
            options["command_timeout"] = max(self.migration_timeout_seconds, self.statement_timeout_seconds)
        tls = self.ssl_context()
        return options if tls is None else {**options, "ssl": tls}

    def ssl_context(self) -> ssl.SSLContext | None:
        """TLS context for `asyncpg.connect(ssl=...)`, or None when the URL alone decides.

        Raises OSError when one of the named files cannot be read.
        """
        if not self.tls_enabled:
            return None
        context = ssl.create_default_context(cafile=self.tls_ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = self.tls_check_hostname
        if self.tls_cert_file:
            context.load_cert_chain(self.tls_cert_file, self.tls_key_file)
        return context
