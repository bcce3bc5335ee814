"""Connecting to one of several hosts, of which some may be gone without a word.

The driver tries the hosts of a DSN one after the other within one time limit, so that a first host that swallows
packets takes all of it. Here the next host gets its turn when one fails or has said nothing for a moment.
"""

import asyncio
import contextlib
import socket
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

import asyncpg

__all__ = ["Hosts", "split"]

_HEAD_START_SECONDS = 0.3

# A peer that acknowledges nothing for so long is gone: a machine that died, a network that swallows. Postgres being
# slow has no part in this, its kernel acknowledges. Without it a dead peer is noticed after a quarter of an hour.
_SILENCE_SECONDS = 5
_KEEPALIVE = (
    ("TCP_KEEPIDLE", 4),
    ("TCP_KEEPINTVL", 1),
    ("TCP_KEEPCNT", 4),
    ("TCP_USER_TIMEOUT", _SILENCE_SECONDS * 1000),
)


class Hosts:
    """The hosts of a DSN. ``options`` are those of ``asyncpg.connect``; its ``timeout`` bounds each host's attempt and
    the whole."""

    def __init__(self, dsn: str, options: dict[str, Any]) -> None:
        self._dsns = split(dsn)
        self._options = options

    async def connect(self, **options: Any) -> asyncpg.Connection:
        """A connection to the first host that gives one. Raises what the last one raised, or TimeoutError."""
        dsns = self._dsns
        if len(dsns) == 1:
            return _watched(await asyncpg.connect(dsns[0], **{**self._options, **options}))
        attempts: dict[asyncio.Task[asyncpg.Connection], str] = {}
        waiting = list(dsns)
        problem: BaseException | None = None
        try:
            while waiting or attempts:
                if waiting:
                    dsn = waiting.pop(0)
                    attempts[asyncio.create_task(asyncpg.connect(dsn, **{**self._options, **options}))] = dsn
                done, _ = await asyncio.wait(
                    attempts, timeout=_HEAD_START_SECONDS if waiting else None, return_when=asyncio.FIRST_COMPLETED
                )
                for attempt in done:
                    dsn = attempts.pop(attempt)
                    if attempt.exception() is None:
                        self._prefer(dsn)
                        return _watched(attempt.result())
                    problem = _telling(problem, attempt.exception())
        finally:
            for attempt in attempts:
                attempt.cancel()
                attempt.add_done_callback(_discard)
        assert problem is not None
        raise problem

    def _prefer(self, dsn: str) -> None:
        """The host that answered is asked first the next time. The list is replaced: others walk along the old one."""
        if self._dsns[0] != dsn:
            self._dsns = [dsn, *(other for other in self._dsns if other != dsn)]


def split(dsn: str) -> list[str]:
    """A DSN for each of its hosts; the DSN itself where there is one, or where hosts are weighed against each other."""
    parts = urlsplit(dsn)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if query.get("target_session_attrs") == "prefer-standby":
        return [dsn]
    login, at, hosts = parts.netloc.rpartition("@")
    if "," in hosts:
        return [urlunsplit(parts._replace(netloc=f"{login}{at}{host}")) for host in hosts.split(",")]
    if not hosts and "," in query.get("host", ""):
        names, ports = query["host"].split(","), query.get("port", "").split(",")
        ports = ports * len(names) if len(ports) == 1 else ports
        return [_with(dsn, query, name, port) for name, port in zip(names, ports, strict=True)]
    return [dsn]


def _with(dsn: str, query: dict[str, str], host: str, port: str) -> str:
    chosen = {**query, "host": host, **({"port": port} if port else {})}
    text = "&".join(f"{key}={quote(value, safe='/')}" for key, value in chosen.items())
    return f"{dsn.partition('?')[0]}?{text}"


def _telling(known: BaseException | None, error: BaseException | None) -> BaseException | None:
    """Of two failures the one that says more: that a host does not take writes is known of every standby."""
    if known is None or isinstance(known, asyncpg.exceptions.TargetServerAttributeNotMatched):
        return error
    return known if isinstance(error, asyncpg.exceptions.TargetServerAttributeNotMatched) else error


def _watched(connection: asyncpg.Connection) -> asyncpg.Connection:
    """Let the kernel notice when the other end has vanished."""
    transport = getattr(connection, "_transport", None)
    sock = transport.get_extra_info("socket") if transport is not None else None
    if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in _KEEPALIVE:
                if hasattr(socket, name):  # not every system has each of them
                    sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return connection


def _discard(attempt: "asyncio.Task[asyncpg.Connection]") -> None:
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().terminate()
