"""The stage of the chaos suite: an orchestra of real processes of which any part may be struck.

    clients, workers -> balancer -> links -> api-0, api-1   \\
                                          services-0, -1     -> links -> Postgres a (primary), b (standby); Redis

Everything between two machines of a real installation is a link (links.py) that can be silenced, closed or cut.
Typical use::

    with Stage(workdir) as stage:              # or .start() and .stop()
        load_against(stage.api_url)            # through the balancer, as every client
        stage.apis[0].kill(); stage.apis[0].start()
        audit(stage.database, ...)             # straight to whoever is primary now
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.balancers.balancers import settings_of_servers
from tests.chaos.balancer import Balancer
from tests.chaos.cluster import Cluster
from tests.chaos.links import Network
from tests.chaos.members import Member, api_member, services_member, worker_member
from tests.support.database import Database
from tests.support.redis_server import RedisServer
from tests.support.servers import run_sempre
from tests.support.wait import eventually

POOL = "chaos"
"""The process work pool that the stock workers serve."""

# Service intervals short enough for a run of minutes; everything else is what an operator gets.
ENVIRONMENT = {
    "SEMPRE_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
    "SEMPRE_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "1",
    "SEMPRE_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "2",
    "SEMPRE_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS": "2",
    "SEMPRE_SERVER_SERVICES_FOREMAN_LOOP_SECONDS": "5",
    "SEMPRE_SERVER_SERVICES_CANCELLATION_CLEANUP_LOOP_SECONDS": "2",
    "SEMPRE_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "1",
    "SEMPRE_SERVER_EVENTS_PROACTIVE_GRANULARITY_SECONDS": "1",
    **{name: str(value) for name, value in settings_of_servers().items()},
}


class Stage:
    """The ensemble. `env` goes to every server process, on top of ENVIRONMENT: that is how defences are switched off
    (bites.py); `member.env` changes one process from its next start on.

    `redis=False`: no Redis at all (tier "ensemble"). `workers=0`: no stock workers, which cost about a second of CPU
    each to start. `standby=False`: one Postgres only. `bouncer=True`: the second of each pair of server processes
    reaches Postgres through pgbouncer in transaction mode.

    Public: `api_url`, `apis`, `services`, `workers`, `members`, `postgres`, `redis`, `balancer`, `network`,
    `database`, `workdir`.
    """

    def __init__(
        self,
        workdir: Path,
        *,
        apis: int = 2,
        services: int = 2,
        workers: int = 0,
        redis: bool = True,
        standby: bool = True,
        bouncer: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> None:
        workdir.mkdir(parents=True, exist_ok=True)
        self.workdir = workdir
        self.network = Network(workdir)
        self.redis = RedisServer(persistent=True) if redis else None
        self.postgres = Cluster(workdir, self.network, standby=standby, bouncer=bouncer)
        environment = {**ENVIRONMENT, **(env or {})}
        self.apis = [api_member(workdir, f"api-{number}", environment) for number in range(apis)]
        self.services = [services_member(workdir, f"services-{number}", environment) for number in range(services)]
        self.balancer = Balancer(workdir, self.network, self.apis)
        self.workers = [worker_member(workdir, f"worker-{n}", self.balancer.api_url, POOL) for n in range(workers)]

    @property
    def api_url(self) -> str:
        """What clients are given: the balancer's address."""
        return self.balancer.api_url

    @property
    def servers(self) -> list[Member]:
        """API servers and services processes: whoever talks to Postgres and Redis."""
        return [*self.apis, *self.services]

    @property
    def members(self) -> list[Member]:
        return [*self.servers, *self.workers]

    @property
    def database(self) -> Database:
        """For auditors and probes: the database of the present primary, over no link. Ask again after a failover."""
        return self.postgres.database

    def start(self) -> Stage:
        if self.redis:
            self.redis.start()
        self.postgres.start()
        run_sempre("server", "database", "upgrade", "-y", home=self.workdir / "migration", database=self.database)
        for number, server in enumerate(self.servers):
            self._connect(server, bounced=number % 2 == 1)
            server.start()
        self.wait_ready()
        self.balancer.start()
        eventually(self.balancer.answers, "the balancer answers", 20)
        for worker in self.workers:
            worker.start()
        return self

    def _connect(self, server: Member, *, bounced: bool) -> None:
        server.postgres = self.postgres.links_of(server.name, bounced=bounced)
        server.env.update(self.postgres.environment(server.postgres, bounced=bounced))
        if self.redis:
            server.redis = self.network.link(f"{server.name}>redis", self.redis.port)
            url = self.redis.url_of(0, server.redis.port)
            server.env.update({"SEMPRE_REDIS_URL": url, "SEMPRE_SERVER_DOCKET_URL": url})

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Until every process is up. Those that ended by themselves are started again, as an init system does."""

        def ready() -> bool:
            self.revive()
            return all(member.ready() for member in self.members if member.wanted)

        eventually(ready, "the stage is up", timeout, 0.2, detail=self.tails)

    def revive(self) -> list[str]:
        """Start whoever ended by itself; their names."""
        ended = [member for member in self.members if member.wanted and not member.running()]
        for member in ended:
            member.start()
        names = [member.name for member in ended]
        bouncer = self.postgres.bouncer
        if bouncer and bouncer.wanted and not bouncer.running():
            bouncer.start()
            names.append("pgbouncer")
        return names

    def tails(self) -> str:
        return "\n".join(member.tail() for member in self.members if member.wanted and not member.ready())

    def stop(self) -> None:
        """End everything, clients first. Safe to call again, and after a start that failed."""
        with contextlib.ExitStack() as stack:
            stack.callback(self.network.stop)
            if self.redis:
                stack.callback(self.redis.discard)
            stack.callback(self.postgres.stop)
            stack.callback(self.balancer.stop)
            stack.callback(_end_all, self.servers)
            stack.callback(_end_all, self.workers)

    def __enter__(self) -> Stage:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        self.stop()


def _end_all(members: Sequence[Member]) -> None:
    """At the same time: each may take its grace."""
    with ThreadPoolExecutor(max_workers=max(1, len(members))) as threads:
        list(threads.map(lambda member: member.stop(), members))
