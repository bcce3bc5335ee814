"""Processes that die, hang, are restarted, have a wrong clock or are of the previous release."""

from __future__ import annotations

import random
from typing import ClassVar

from tests.chaos.faults.fault import Fault
from tests.chaos.members import Member
from tests.chaos.stage import Stage
from tests.support.debian import clock_skew
from tests.support.releases import previous_release, revision


class _OfMember(Fault):
    """A fault of one process. The kind is named after its role."""

    what: ClassVar[str] = ""

    def __init__(self, stage: Stage, member: Member) -> None:
        super().__init__(stage, member.name)
        self.member = member
        self.name = f"{member.role}: {self.what}"  # type: ignore[misc]

    def recovered(self) -> bool:
        return self.member.ready()


class Kill(_OfMember):
    """kill -9 of a process and its children."""

    what = "kill -9"
    family = "kill"

    def strike(self, draw: random.Random) -> None:
        self.member.kill()
        self.last(draw, (0.2, 8), short=(0.2, 3))
        self.member.start()


class Freeze(_OfMember):
    """SIGSTOP for longer than any lease lasts, then SIGCONT: a replica that comes back late and knows nothing of it."""

    what = "freeze"
    family = "freeze"

    def strike(self, draw: random.Random) -> None:
        self.member.pause()
        self.last(draw, (5, 25), short=(7, 9))
        self.member.resume()


class Restart(_OfMember):
    """SIGTERM and start, as at any deployment. The process must end in order."""

    what = "restart"
    family = "restart"

    def strike(self, draw: random.Random) -> None:
        code = self.member.stop()
        self.detail = f"exit code {code}"
        self.last(draw, (0.1, 2))
        self.member.start()

    def recovered(self) -> bool:
        if self.member.role != "worker":
            assert self.detail == "exit code 0", f"{self.member.name} did not end in order on SIGTERM: {self.detail}"
        return super().recovered()


class KillAll(Fault):
    """kill -9 of every process of a role at once: a power cut in one rack."""

    family = "kill"
    outage = True

    def __init__(self, stage: Stage, role: str) -> None:
        self.members = [member for member in stage.servers if member.role == role]
        super().__init__(stage, *(member.name for member in self.members))
        self.name = f"{role}: kill -9 of all"  # type: ignore[misc]

    def strike(self, draw: random.Random) -> None:
        for member in self.members:
            member.kill()
        self.last(draw, (0.2, 5), short=(0.2, 2))
        for member in self.members:
            member.start()

    def recovered(self) -> bool:
        return all(member.ready() for member in self.members)


class _Changed(Fault):
    """Processes that run with another environment for a while: restarted into it, and out of it again."""

    def __init__(self, stage: Stage, *members: Member) -> None:
        super().__init__(stage, *(member.name for member in members))
        self.members = members

    def change(self, draw: random.Random) -> dict[str, str]:
        raise NotImplementedError

    def strike(self, draw: random.Random) -> None:
        change = self.change(draw)
        before = [dict(member.env) for member in self.members]
        for member in self.members:
            member.stop()
            member.env.update(change)
            member.start()
        self.last(draw, (15, 40), short=(8, 10))
        for member, env in zip(self.members, before, strict=True):
            member.stop()
            member.env.clear()
            member.env.update(env)
            member.start()

    def recovered(self) -> bool:
        return all(member.ready() for member in self.members)


class ClockSkew(_Changed):
    """The wall clock of one replica is wrong by up to a minute."""

    family = "skew"

    def __init__(self, stage: Stage, member: Member) -> None:
        super().__init__(stage, member)
        self.name = f"{member.role}: clock skew"  # type: ignore[misc]

    def change(self, draw: random.Random) -> dict[str, str]:
        seconds = draw.choice((-1, 1)) * draw.uniform(5, 60)
        self.detail = f"{seconds:+.0f} s"
        return clock_skew(seconds)


class RollingUpgrade(_Changed):
    """Half of the replicas are of the previous release, on the present schema."""

    name = "previous release"
    family = "upgrade"

    def change(self, draw: random.Random) -> dict[str, str]:
        self.detail = f"revision {revision()[:10]}"
        return {"PYTHONPATH": str(previous_release(self.stage.workdir))}
