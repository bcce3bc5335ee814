"""A quick look at the database and the server that the settings lead to. Starts neither, waits for neither."""

from __future__ import annotations

import asyncio
import base64
import json
import urllib.request
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from sempre.cli.connection import client_settings
from sempre.server.settings import Settings

if TYPE_CHECKING:
    from sempre.db.pool import Executor

T = TypeVar("T")

_SECONDS = 2.0


def database_in_words(settings: Settings) -> str:
    """Which database the settings lead to, without credentials."""
    url = settings.database.connection_url
    if url is None:
        return f"embedded Postgres under {settings.home / 'database'}"
    rest = url.partition("://")[2].partition("?")[0]
    return f"Postgres at {rest.rpartition('@')[2] or 'a local socket'}"


def look_at_database(settings: Settings, look: Callable[[Executor], Awaitable[T]]) -> tuple[T | None, str | None]:
    """(what `look` found, None), or (None, why the database could not be asked)."""
    return asyncio.run(_look(settings, look))


async def _look(settings: Settings, look: Callable[[Executor], Awaitable[T]]) -> tuple[T | None, str | None]:
    # The database libraries are loaded by the commands that look.
    from sempre.db.embedded import find_embedded
    from sempre.db.pool import Database

    configured = settings.database
    dsn = configured.connection_url or find_embedded(settings.home)
    if dsn is None:
        return None, "the embedded Postgres does not run"
    try:
        db = Database(
            dsn, size=1, statement_cache_size=0, server_settings=configured.server_settings(),
            tls=configured.ssl_context(),
        )  # fmt: skip
        await db.open()
        try:
            async with asyncio.timeout(_SECONDS):
                return await look(db), None
        finally:
            await db.close(timeout=0.5)
    except TimeoutError:
        return None, f"{database_in_words(settings)} does not answer"
    except Exception as error:  # whatever is wrong with it, the command has more to say
        return None, f"{database_in_words(settings)} cannot be asked: {error}"


def api_url(settings: Settings) -> str:
    """The API that commands ask: the one that clients are told of, else the one these settings would start."""
    return client_settings().api.url or settings.ui.api_url or local_api(settings)


def auth_string(settings: Settings) -> str | None:
    """What lets commands in: what clients are told, else what these settings ask of clients."""
    return client_settings().api.auth_string or settings.api.auth_string


def local_api(settings: Settings) -> str:
    """The API that these settings would start, as this machine reaches it."""
    return f"http://{reachable_host(settings.api.host)}:{settings.api.port}{settings.api.base_path}"


def reachable_host(host: str) -> str:
    """A host to connect to for one to listen on."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def get(url: str, auth: str | None = None, timeout: float = 5.0) -> Any:
    """The JSON at `url`. Raises OSError (HTTPError for a refusal) or ValueError."""
    request = urllib.request.Request(url)  # noqa: S310
    if auth:
        request.add_header("Authorization", "Basic " + base64.b64encode(auth.encode()).decode())
    with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310
        return json.loads(answer.read())
