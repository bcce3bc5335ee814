"""What befalls the way from clients to API servers."""

from __future__ import annotations

import random

from tests.chaos.faults.fault import Fault
from tests.chaos.members import Member
from tests.chaos.stage import Stage


class Cut(Fault):
    """All connections between the balancer and one API server are reset, some times in a row."""

    name = "connections cut"
    family = "cut"

    def __init__(self, stage: Stage, member: Member) -> None:
        super().__init__(stage, f"{member.name}>http")
        assert member.http
        self.link = member.http

    def strike(self, draw: random.Random) -> None:
        for _ in range(draw.randint(1, 5)):
            self.link.cut()
            self.last(draw, (0.05, 1))


class Unreachable(Fault):
    """The balancer cannot reach one API server, which is alive: packets wait and arrive late."""

    name = "api: unreachable"
    family = "cut"

    def __init__(self, stage: Stage, member: Member) -> None:
        super().__init__(stage, f"{member.name}>http", member.name)
        assert member.http
        self.link = member.http

    def strike(self, draw: random.Random) -> None:
        self.link.silence()
        self.last(draw, (3, 15), short=(3, 5))
        self.link.open()


class BalancerRestart(Fault):
    """The balancer itself dies and comes back; every client loses its connections."""

    name = "balancer: kill -9"
    family = "cut"
    outage = True

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage, "balancer", *(f"{member.name}>http" for member in stage.apis))

    def strike(self, draw: random.Random) -> None:
        self.stage.balancer.kill()
        self.last(draw, (0.1, 3), short=(0.1, 1))
        self.stage.balancer.start()

    def recovered(self) -> bool:
        return self.stage.balancer.answers()
