"""One bounded stream of Redis, written and read from now on. What falls out of it, or is wiped, is gone."""

from typing import Any, cast

from redis.asyncio import Redis

from sempre.server.redis.clients import BLOCK_SECONDS
from sempre.server.redis.installation import Installation
from sempre.server.redis.link import Link

__all__ = ["Fields", "Stream"]

Fields = dict[bytes, bytes]

_READ_AT_ONCE = 100
_BEGINNING = b"0-0"


class Stream:
    """``name`` is that of its key within the installation; it keeps about the last ``length`` entries."""

    def __init__(self, link: Link, installation: Installation, name: str, length: int) -> None:
        self.link = link
        self.length = length
        self._installation = installation
        self._name = name
        self._read_to: bytes | None = None

    async def key(self) -> str:
        """Raises DatabaseUnavailable."""
        return await self._installation.key(self._name)

    async def add(self, fields: Fields) -> None:
        """Raises RedisAway, DatabaseUnavailable."""
        key, entry = await self.key(), cast(Any, fields)
        await self.link.call(lambda redis: redis.xadd(key, entry, maxlen=self.length, approximate=True))

    async def read(self) -> list[Fields]:
        """What has come since the last reading, at the first one: what comes from now on. Waits about a second.

        Goes on where it was after Redis was away. Raises RedisAway, DatabaseUnavailable.
        """
        key = await self.key()
        if self._read_to is None:
            self._read_to = await self._newest(key)
        after = self._read_to
        block = int(BLOCK_SECONDS * 1000)
        answer = await self.link.call(
            lambda redis: redis.xread({key: after}, count=_READ_AT_ONCE, block=block), blocking=BLOCK_SECONDS
        )
        entries = _entries(answer)
        if entries:
            self._read_to = entries[-1][0]
        elif _order(newest := await self._newest(key)) < _order(after):
            # It was emptied and its clock stands earlier: new entries would seem old for ever.
            self._read_to = newest
        return [fields for _, fields in entries]

    def forget(self) -> None:
        """Begin at the end again."""
        self._read_to = None

    async def _newest(self, key: str) -> bytes:
        async def ask(redis: Redis) -> Any:
            return await redis.xrevrange(key, count=1)

        found = await self.link.call(ask)
        return found[0][0] if found else _BEGINNING


def _entries(answer: Any) -> list[tuple[bytes, Fields]]:
    """Of one stream, in both versions of the protocol."""
    if not answer:
        return []
    if isinstance(answer, dict):
        (found,) = answer.values()
        return [(id, fields) for part in found for id, fields in part] if found and _nested(found) else found
    return answer[0][1]  # type: ignore[no-any-return]


def _nested(found: Any) -> bool:
    return isinstance(found[0], list)


def _order(id: bytes) -> tuple[int, int]:
    time, _, number = id.partition(b"-")
    return int(time), int(number)
