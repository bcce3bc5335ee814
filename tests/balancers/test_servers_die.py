"""What clients notice when servers behind a balancer are killed or restarted: nothing that lasts."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.balancers.conftest import Site
from tests.balancers.load import Load, Subscribers
from tests.support.prefect_env import PrefectClient
from tests.support.processes import ManagedProcess
from tests.support.scopes import until

pytestmark = pytest.mark.balancers

FLOWS = Path(__file__).parent / "flows"
SUBSCRIBERS = 20
# Together 200 requests a second.
BY_CLIENT, PLAIN = 80, 120


class Bench:
    """The loads on a site: the stock client's, the plain one's, and subscribers."""

    def __init__(self, site: Site, workdir: Path, seconds: int) -> None:
        self.site = site
        self.load = Load(site.api_url, PLAIN)
        self.subscribers = Subscribers(site.api_url, SUBSCRIBERS)
        self._client = PrefectClient(site.api_url, workdir / site.balancer.kind, FLOWS)
        self.calls: ManagedProcess = self._client.start_script("calls.py", str(seconds), str(BY_CLIENT))

    async def called(self) -> dict[str, Any]:
        """What the stock client's calls came to."""
        code = await asyncio.to_thread(self.calls.wait, 180)
        assert code == 0, self.calls.tail()
        counted: dict[str, Any] = json.loads(self.calls.output().splitlines()[-1])
        assert counted["failed"] == 0, self.calls.tail()
        return counted

    async def seen_by_all(self) -> None:
        await until(
            lambda: self.subscribers.missing(self.load.taken) == 0,
            "every subscriber has every event that was acknowledged",
            30,
        )


async def _in_a_thread(work: Callable[[], object]) -> None:
    await asyncio.to_thread(work)


def _report(site: Site, title: str, bench: Bench, counted: dict[str, Any], seconds: float) -> None:
    print(
        f"\n{site.balancer.kind}, {title}: the client's {counted['calls']} calls, slowest {counted['slowest']} s, "
        f"0 failed; plain {bench.load.count} requests, {bench.load.count / seconds:.0f}/s, slowest "
        f"{bench.load.slowest:.2f} s, not 2xx: {bench.load.failures()}; {SUBSCRIBERS} subscribers, "
        f"{bench.subscribers.connections} connections, ends {dict(bench.subscribers.ends)}, "
        f"{len(bench.load.taken)} events, none missed"
    )


async def _ready_again(site: Site) -> None:
    async with httpx.AsyncClient() as client:
        for server in site.servers:
            assert (await client.get(f"{server.api_url}/ready")).status_code == 200


async def test_one_of_two_servers_is_killed_under_load(site: Site, workdir: Path) -> None:
    bench = Bench(site, workdir, 20)
    await _in_a_thread(lambda: bench.calls.wait_for_output("CALLING"))
    began = time.monotonic()
    async with bench.subscribers, bench.load:
        await until(lambda: bench.subscribers.all_open and bench.load.count > 200, "everybody is at work", 30)
        await _in_a_thread(site.servers[0].kill)
        killed_at = bench.load.count
        await until(lambda: bench.load.count > killed_at + 600, "hundreds of requests with one server", 30)
        await _in_a_thread(site.servers[0].start)
        await until(lambda: bench.subscribers.all_open, "all subscribers are connected again", 30)
        counted = await bench.called()
        seconds = time.monotonic() - began
        await bench.seen_by_all()
    _report(site, "kill -9 of one server", bench, counted, seconds)
    # Reads are asked again by the balancer. A POST in flight is the client's to repeat, which it does on 502 and, as
    # HAProxy answers what it sent over a kept connection, on the end of its own.
    assert bench.load.failures("GET") == {}
    repeated = {("POST", "502"), ("POST", "RemoteProtocolError"), ("POST", "ReadError")}
    assert set(bench.load.failures("POST")) <= repeated, bench.load.failures()
    assert sum(bench.load.failures("POST").values()) <= 2 * bench.load.concurrent
    await _ready_again(site)


async def test_both_servers_are_restarted_one_after_the_other(site: Site, workdir: Path) -> None:
    bench = Bench(site, workdir, 30)
    await _in_a_thread(lambda: bench.calls.wait_for_output("CALLING"))
    began = time.monotonic()
    codes = []
    async with bench.subscribers, bench.load:
        await until(lambda: bench.subscribers.all_open and bench.load.count > 200, "everybody is at work", 30)
        for server in site.servers:
            codes.append(await asyncio.to_thread(server.process.terminate, 40))
            await _in_a_thread(server.start)
        await until(lambda: bench.subscribers.all_open, "all subscribers are connected again", 30)
        counted = await bench.called()
        seconds = time.monotonic() - began
        await bench.seen_by_all()
    _report(site, "rolling restart of both", bench, counted, seconds)
    assert codes == [0, 0]
    assert bench.load.failures() == {}
    await _ready_again(site)


async def test_servers_that_are_slow_are_not_given_up(site: Site) -> None:
    """An overloaded machine answers no check in time; the balancer waits for its servers all the same."""
    async with httpx.AsyncClient(base_url=site.api_url, timeout=60) as client:
        for server in site.servers:
            server.process.signal(signal.SIGSTOP)
        try:
            await until(lambda: site.none_is_ready is not False, "no server answers its checks", 30)
            asked = [asyncio.create_task(client.post("/flows/", json={"name": "slow"})) for _ in range(10)]
            done, _ = await asyncio.wait(asked, timeout=1)
            assert not done
        finally:
            for server in site.servers:
                server.process.signal(signal.SIGCONT)
        assert {answer.status_code for answer in await asyncio.gather(*asked)} <= {200, 201}
    for server in site.servers:
        await _in_a_thread(server.wait_ready)
