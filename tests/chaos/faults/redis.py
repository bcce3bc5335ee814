"""What befalls Redis. It is an accelerator: nothing of this may be noticed but by latency."""

from __future__ import annotations

import random

from tests.chaos.faults.fault import Fault
from tests.chaos.members import Member
from tests.chaos.stage import Stage
from tests.support.redis_server import RedisServer

CLAIM = "redis"


class _OfRedis(Fault):
    family = "redis"

    def __init__(self, stage: Stage) -> None:
        assert stage.redis
        super().__init__(stage, CLAIM)
        self.redis: RedisServer = stage.redis

    def recovered(self) -> bool:
        return bool(self.redis.command("PING"))


class RedisKill(_OfRedis):
    """kill -9; comes back with what it held on disk."""

    name = "redis: kill -9"

    def strike(self, draw: random.Random) -> None:
        self.redis.kill()
        self.last(draw, (1, 30), short=(3, 8))
        self.redis.start()


class RedisWipe(_OfRedis):
    """Restarted empty, as after the loss of its disk."""

    name = "redis: restart empty"

    def strike(self, draw: random.Random) -> None:
        self.redis.kill()
        self.redis.wipe_disk()
        self.last(draw, (0.1, 10), short=(0.1, 4))
        self.redis.start()


class RedisFlush(_OfRedis):
    name = "redis: FLUSHALL"

    def strike(self, draw: random.Random) -> None:
        for _ in range(draw.randint(1, 3)):
            self.redis.flush()
            self.last(draw, (0.1, 2))


class RedisReadOnly(_OfRedis):
    name = "redis: read-only"

    def strike(self, draw: random.Random) -> None:
        self.redis.read_only()
        self.last(draw, (3, 20), short=(3, 6))
        self.redis.read_only(False)


class RedisHang(_OfRedis):
    """Connections stay open and nobody answers."""

    name = "redis: hang"

    def strike(self, draw: random.Random) -> None:
        self.redis.pause()
        self.last(draw, (2, 25), short=(4, 7))
        self.redis.resume()


class RedisPartition(Fault):
    """One process, or all, cannot reach Redis; packets vanish, or connections are refused."""

    family = "redis partition"

    def __init__(self, stage: Stage, *members: Member) -> None:
        super().__init__(stage, *(f"{member.name}>redis" for member in members))
        self.links = [member.redis for member in members if member.redis]
        who = members[0].role if len(members) == 1 else "all"
        self.name = f"redis: partition of {who}"  # type: ignore[misc]

    def strike(self, draw: random.Random) -> None:
        silent = draw.random() < 0.7
        self.detail = "silent" if silent else "refused"
        for link in self.links:
            link.silence() if silent else link.close()
        self.last(draw, (3, 25), short=(4, 7))
        for link in self.links:
            link.open()
