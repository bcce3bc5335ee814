"""Clients of Redis from URLs: every wait of theirs is finite, and they try nothing twice by themselves."""

from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff

from sempre.server.settings import SettingsError
from sempre.server.settings.sections import RedisSettings

__all__ = ["BLOCK_SECONDS", "close_client", "make_client"]

# Longest that a read waits inside Redis for something to come.
BLOCK_SECONDS = 1.0

_SENTINEL_PORT = 26379
_SENTINEL = "+sentinel"


def make_client(url: str, settings: RedisSettings) -> Redis:
    """A client that connects at its first command.

    ``url`` has one of the schemes that settings accept; ``redis+sentinel://[user:password@]host[:port],.../service[/db]``
    takes ``sentinel_username`` and ``sentinel_password`` in its query, every form what redis-py knows there (such as
    ``ssl_ca_certs``). Raises SettingsError if it cannot be read; never with the URL in the text, for its password.
    """
    options: dict[str, Any] = {
        # A blocking read ends by itself before its socket gives up.
        "socket_timeout": max(settings.socket_timeout_seconds, 2 * BLOCK_SECONDS + settings.command_budget_seconds),
        "socket_connect_timeout": settings.socket_connect_timeout_seconds,
        "health_check_interval": settings.health_check_interval_seconds,
        "protocol": settings.protocol,
        "retry": Retry(NoBackoff(), 0),
        "client_name": "sempre",
    }
    try:
        if urlsplit(url).scheme.endswith(_SENTINEL):
            return _through_sentinels(url, options)
        client: Redis = Redis.from_url(url, **options)
        return client
    except (ValueError, IndexError) as error:
        raise SettingsError("the URL of Redis cannot be read; look at its host, port, database and query") from error


async def close_client(client: Redis) -> None:
    """Close its connections, those to sentinels included."""
    pool = client.connection_pool
    await client.aclose()
    await pool.disconnect()
    if isinstance(pool, SentinelConnectionPool):
        for sentinel in pool.sentinel_manager.sentinels:
            await sentinel.aclose()


def _through_sentinels(url: str, options: dict[str, Any]) -> Redis:
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    service, _, db = parts.path.strip("/").partition("/")
    if not service or not hosts:
        raise ValueError("no service")
    query = dict(parse_qsl(parts.query))
    to_sentinels = {
        name.removeprefix("sentinel_"): query.pop(name) for name in list(query) if name.startswith("sentinel_")
    }
    tls = parts.scheme.startswith("rediss")
    # What redis-py makes of the rest of such a URL, its login and query.
    plain = urlunsplit((parts.scheme.removesuffix(_SENTINEL), "_", f"/{db}", urlencode(query), ""))
    known = Redis.from_url(plain).connection_pool.connection_kwargs
    extra = {key: value for key, value in known.items() if key not in ("host", "port")}
    if login:
        username, _, password = login.partition(":")
        extra |= {"username": unquote(username) or None, "password": unquote(password) or None}
    common = {**options, "ssl": True} if tls else options
    sentinels = Sentinel(  # type: ignore[no-untyped-call]
        [_address(host) for host in hosts.split(",")], sentinel_kwargs={**common, **to_sentinels}, **common, **extra
    )
    client: Redis = sentinels.master_for(service)
    return client


def _address(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError("no host")
    return parts.hostname, parts.port or _SENTINEL_PORT
