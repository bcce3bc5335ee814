"""What befalls Postgres and the way to it. Without it nothing is done, and nothing half."""

from __future__ import annotations

import random

from tests.chaos.faults.fault import Fault
from tests.chaos.members import Member
from tests.chaos.stage import Stage

CLAIM = "postgres"


class _OfPostgres(Fault):
    outage = True

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage, CLAIM)
        self.cluster = stage.postgres

    def recovered(self) -> bool:
        return self.cluster.whole()


class PostgresKill(_OfPostgres):
    """kill -9 of the primary, and a restart on the same data."""

    name = "postgres: kill -9"
    family = "postgres"

    def strike(self, draw: random.Random) -> None:
        self.cluster.primary.kill()
        self.last(draw, (0.5, 12), short=(1, 4))
        self.cluster.restart()


class PostgresRestart(_OfPostgres):
    """Stopped as an operator does: every session is told (57P01)."""

    name = "postgres: restart"
    family = "postgres"

    def strike(self, draw: random.Random) -> None:
        self.cluster.primary.stop()
        self.last(draw, (0.1, 5), short=(0.1, 2))
        self.cluster.restart()


class PostgresHang(_OfPostgres):
    """The primary's machine hangs: connections stay open and nobody answers, then everything goes on."""

    name = "postgres: hang"
    family = "postgres hang"

    def strike(self, draw: random.Random) -> None:
        self.cluster.primary.pause()
        self.last(draw, (2, 20), short=(4, 7))
        self.cluster.primary.resume()


class FailOver(_OfPostgres):
    """The primary's machine dies, the standby is promoted, and a new standby is built."""

    name = "postgres: failover"
    family = "failover"

    def strike(self, draw: random.Random) -> None:
        self.cluster.fail_over()
        self.lift()
        self.last(draw, (1, 8), short=(1, 3))
        self.cluster.rebuild_standby()


class StandbyLost(_OfPostgres):
    """The standby dies: commits hang until its watcher lets the primary go on alone, as such watchers do."""

    name = "postgres: standby lost"
    family = "postgres"

    def strike(self, draw: random.Random) -> None:
        assert self.cluster.standby
        self.cluster.standby.kill()
        self.last(draw, (0.5, 5), short=(0.5, 2))
        self.cluster.primary.synchronous(False)
        self.lift()
        self.last(draw, (0.5, 5), short=(0.5, 2))
        self.cluster.restart_standby()


class PostgresPartition(Fault):
    """One process cannot reach Postgres: packets wait and arrive late, or connections are refused."""

    family = "postgres partition"

    def __init__(self, stage: Stage, member: Member) -> None:
        super().__init__(stage, f"{member.name}>postgres", f"{member.name}")
        self.member = member
        self.name = f"postgres: partition of {member.role}"  # type: ignore[misc]

    def strike(self, draw: random.Random) -> None:
        silent = draw.random() < 0.7
        self.detail = "silent" if silent else "refused"
        for link in self.member.postgres:
            link.silence() if silent else link.close()
        self.last(draw, (3, 30), short=(6, 9))
        for link in self.member.postgres:
            link.open()

    def recovered(self) -> bool:
        return self.member.ready()


class BouncerRestart(Fault):
    """pgbouncer is restarted; who came through it loses its connections."""

    name = "pgbouncer: restart"
    family = "pgbouncer"

    def __init__(self, stage: Stage) -> None:
        assert stage.postgres.bouncer
        super().__init__(stage, "pgbouncer")
        self.bouncer = stage.postgres.bouncer

    def strike(self, draw: random.Random) -> None:
        self.bouncer.kill()
        self.last(draw, (0.1, 5), short=(0.1, 2))
        self.bouncer.start()

    def recovered(self) -> bool:
        return self.bouncer.answers()
