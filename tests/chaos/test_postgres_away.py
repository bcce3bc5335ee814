"""Postgres goes away under light load and comes back: nothing else is restarted, and nobody is told a lie meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import psutil  # type: ignore[import-untyped, unused-ignore]
import pytest

from sempre.db.embedded import start_embedded, stop_embedded
from tests.chaos.api import pause
from tests.chaos.auditor import audit, settled
from tests.chaos.ledger import Ledger
from tests.chaos.load import BackgroundLoad, Shape
from tests.chaos.plan import either, say, seeded
from tests.support.database import Database
from tests.support.net import answers
from tests.support.servers import SempreServer, ServicesProcess
from tests.support.wait import eventually

pytestmark = pytest.mark.chaos

AWAY_SECONDS = either(6, 25)
# Waiting for a connection whose statement times out (10 s), then connecting in vain (5 s), and the machine's slack.
LONGEST_ANSWER_SECONDS = 16.0
LONGEST_RECOVERY_SECONDS = 10.0
SHAPE = Shape(lifecycles=3, minutely=2, frequent=3, runners=1)
ENVIRONMENT = {
    "SEMPRE_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "1",
    "SEMPRE_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "1",
}


@dataclass
class Answers:
    """Every answer the load got: when, after how many seconds, and what."""

    seen: list[tuple[float, float, httpx.Response | Exception]] = field(default_factory=list)

    def __call__(self, seconds: float, answer: httpx.Response | Exception) -> None:
        self.seen.append((time.monotonic(), seconds, answer))

    def since(self, moment: float) -> list[httpx.Response | Exception]:
        return [answer for at, _, answer in self.seen if at > moment]

    def refused(self, moment: float) -> bool:
        return any(isinstance(answer, httpx.Response) and answer.status_code == 503 for answer in self.since(moment))

    def successes(self, moment: float) -> int:
        return sum(isinstance(answer, httpx.Response) and answer.is_success for answer in self.since(moment))

    def slowest(self) -> float:
        return max(seconds for _, seconds, _ in self.seen)

    def wrong(self) -> list[str]:
        """Answers that are neither a success nor a 503 that says when to come again."""
        return [
            repr(answer)
            for _, _, answer in self.seen
            if not isinstance(answer, httpx.Response)
            or not (
                answer.is_success or (answer.status_code == 503 and float(answer.headers.get("Retry-After", 0)) > 0)
            )
        ]


class Away:
    """An embedded Postgres of the test's own, and three ways in which it is not there."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.share = start_embedded(home)
        self.database = Database("postgres", parse_qs(urlsplit(self.share.dsn).query)["host"][0])

    def _postmaster(self) -> psutil.Process:
        pid = (self.share.data_directory / "postmaster.pid").read_text().split()[0]
        return psutil.Process(int(pid))

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        assert stop_embedded(self.home, force=True)
        yield
        assert self.share.ensure_running()

    @contextlib.contextmanager
    def killed(self) -> Iterator[None]:
        os.kill(self._postmaster().pid, signal.SIGKILL)
        yield
        assert self.share.ensure_running()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Connections are open and nobody answers: what a machine looks like that lost its network."""
        postmaster = self._postmaster()
        postmaster.suspend()  # first, so that no session begins behind our back
        family = [postmaster, *postmaster.children(recursive=True)]
        for member in family:
            member.suspend()
        yield
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.resume()


@pytest.fixture
def away(workdir: Path) -> Iterator[Away]:
    postgres = Away(workdir / "postgres")
    yield postgres
    postgres.share.release()


@pytest.fixture
def servers(workdir: Path, away: Away) -> Iterator[tuple[SempreServer, ServicesProcess]]:
    api = SempreServer(workdir, database=away.database, services=False, env=ENVIRONMENT)
    services = ServicesProcess(workdir, away.database, "services", ENVIRONMENT)
    api.start()
    services.start()
    yield api, services
    services.stop()
    api.stop()


def test_an_outage_is_answered_with_503_and_survived(
    away: Away, servers: tuple[SempreServer, ServicesProcess], workdir: Path
) -> None:
    api, services = servers
    assert services.process
    watched, ledger = Answers(), Ledger(workdir / "ledger.jsonl")
    load = BackgroundLoad(api.api_url, ledger, SHAPE, seeded("postgres away"), watched, timeout=30).start()
    eventually(lambda: ledger.entries().of_kind("finished"), "the load runs", 60)
    recoveries: dict[str, float] = {}
    for outage in (away.stopped, away.killed, away.frozen):
        recoveries[outage.__name__] = _outage(outage, api, watched, away.database)
        assert load.running(), load.failure
    load.finish(120)
    eventually(lambda: settled(away.database), "the recorder has read the whole log", 30)
    statuses = Counter(a.status_code if isinstance(a, httpx.Response) else repr(a) for a in watched.since(0))
    report = audit(away.database, ledger.entries())
    say(f"postgres away {AWAY_SECONDS:g} s: recovered in {recoveries} s; slowest answer {watched.slowest():.1f} s; "
        f"answers {dict(statuses)}; {report}")  # fmt: skip
    assert watched.wrong() == []
    assert watched.slowest() <= LONGEST_ANSWER_SECONDS
    assert max(recoveries.values()) <= LONGEST_RECOVERY_SECONDS
    assert api.process.running()
    assert services.process.running()
    report.assert_clean()


def _outage(
    outage: Callable[[], contextlib.AbstractContextManager[None]],
    api: SempreServer,
    watched: Answers,
    database: Database,
) -> float:
    """Seconds from Postgres's return to the first success of the load."""
    with outage():
        began = time.monotonic()
        eventually(lambda: watched.refused(began), f"503 while Postgres is {outage.__name__}", 20)
        eventually(lambda: time.monotonic() - began > AWAY_SECONDS, "the outage lasts", AWAY_SECONDS + 5)
        assert answers(f"{api.api_url}/health"), "liveness does not ask the database"
        assert not answers(f"{api.api_url}/ready", timeout=15), "readiness does"
        ended = time.monotonic()
    eventually(lambda: watched.successes(ended) > 3, f"answers after Postgres was {outage.__name__}", 40, 0.02)
    recovered = round(time.monotonic() - ended, 1)
    (newest,) = database.fetch("SELECT count(*) AS runs FROM flow_run WHERE auto_scheduled")
    eventually(
        lambda: (
            database.fetch("SELECT count(*) AS runs FROM flow_run WHERE auto_scheduled")[0]["runs"] > newest["runs"]
        ),
        f"schedules go on after Postgres was {outage.__name__}",
        30,
    )
    return recovered


async def test_a_crowd_is_refused_in_time_while_postgres_hangs(
    away: Away, servers: tuple[SempreServer, ServicesProcess]
) -> None:
    """More requests than connections: they must not queue up to wait for the same silence one after the other."""
    crowd = Answers()

    async def ask(http: httpx.AsyncClient, after: float) -> None:
        await pause(after)
        began = time.monotonic()
        answer = await http.post("/flow_runs/filter", json={})
        crowd(time.monotonic() - began, answer)

    async with httpx.AsyncClient(base_url=servers[0].api_url, timeout=120) as http:
        await asyncio.gather(*(ask(http, 0) for _ in range(80)))
        with away.frozen():
            began = time.monotonic()
            await asyncio.gather(*(ask(http, number * 0.15) for number in range(80)))
    assert len(crowd.since(began)) == 80
    assert crowd.successes(began) == 0
    assert crowd.wrong() == []
    say(f"a crowd while Postgres hangs: slowest answer {crowd.slowest():.1f} s")
    assert crowd.slowest() <= LONGEST_ANSWER_SECONDS


def test_a_solo_server_brings_its_own_postgres_back(workdir: Path) -> None:
    solo = SempreServer(workdir / "solo", env=ENVIRONMENT)
    solo.start()
    try:
        pid_file = workdir / "solo" / "home" / "database" / "data" / "postmaster.pid"
        killed = int(pid_file.read_text().split()[0])
        os.kill(killed, signal.SIGKILL)
        began = time.monotonic()
        ready = f"{solo.api_url}/ready"
        eventually(lambda: not answers(ready), "the server notices", 5, 0.02)
        eventually(lambda: answers(ready), "the server is ready again", LONGEST_RECOVERY_SECONDS)
        say(f"solo: ready {time.monotonic() - began:.1f} s after kill -9 of its Postgres")
        assert int(pid_file.read_text().split()[0]) != killed
        assert solo.process.running()
    finally:
        solo.stop()
