"""What Redis is used for, each part on a Redis of its own if the settings say so: the streams of the feed and the
doorbell, the work of the docket, the cache."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sempre.server.redis.link import Link
from sempre.server.settings import Settings

__all__ = ["RedisRoles", "open_redis"]


@dataclass(frozen=True, slots=True)
class RedisRoles:
    """``None``: there is no Redis for that. Roles with the same URL share one link."""

    streams: Link | None = None
    work: Link | None = None
    cache: Link | None = None


@asynccontextmanager
async def open_redis(settings: Settings) -> AsyncIterator[RedisRoles]:
    """The configured links, being watched; none of them needs to be reachable, now or ever.

    Raises SettingsError for a URL that cannot be read.
    """
    streams = settings.redis.url if settings.events.messaging_broker == "redis" else None
    wanted = {"streams": streams, "work": settings.docket.url, "cache": settings.redis.cache_url or streams}
    links: dict[str, Link] = {}
    for role, url in wanted.items():
        if url is not None and url not in links:
            links[url] = Link(role, url, settings.redis)
    for link in links.values():
        link.start()
    try:
        yield RedisRoles(**{role: links[url] for role, url in wanted.items() if url is not None})
    finally:
        for link in links.values():
            await link.stop()
