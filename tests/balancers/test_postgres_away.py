"""Postgres is away, so no server is ready: what clients get through a balancer is still the servers' own answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import orjson
import pytest
import websockets

from tests.balancers.balancers import KINDS, WEBSOCKETS
from tests.balancers.conftest import Site, open_site
from tests.conftest import _migrated
from tests.support.scopes import until
from tests.support.standby import Primary

pytestmark = pytest.mark.balancers

HEADERS = {"Retry-After": "1", "Prefect-Maintenance": "true"}


@pytest.fixture(scope="module")
def primary() -> Iterator[Primary]:
    node = Primary().start()
    yield node
    node.remove()


@pytest.fixture(scope="module", params=KINDS)
def site(request: pytest.FixtureRequest, primary: Primary, workdir: Path) -> Iterator[Site]:
    database = _migrated(primary, workdir / f"{request.param}-migration")
    with open_site(request.param, workdir / request.param, database) as opened:
        yield opened


async def _post(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("/flows/", json={"name": "written"})


async def _is_told_to_wait(client: httpx.AsyncClient) -> bool:
    answer = await _post(client)
    return answer.status_code == 503 and "Prefect-Maintenance" in answer.headers


async def _is_ready(client: httpx.AsyncClient) -> bool:
    """Whether several in a row say so. A look at Postgres that began while it hung may still be answered a moment
    later."""
    return all([(await client.get("/ready")).is_success for _ in range(4)])


async def _takes_writes(site: Site) -> bool:
    """Whether each server does. One that reaches Postgres is ready, up to a moment before its pool has noticed."""
    async with httpx.AsyncClient(timeout=60) as client:
        answers = [await client.post(f"{server.api_url}/flows/", json={"name": "written"}) for server in site.servers]
    return all(answer.is_success for answer in answers)


async def _open(site: Site, path: str) -> websockets.ClientConnection:
    """An accepted and authenticated websocket. Raises InvalidStatus where the upgrade is refused."""
    url = site.api_url.replace("http", "ws", 1) + path
    socket = await websockets.connect(url, subprotocols=[websockets.Subprotocol("prefect")])
    await socket.send(orjson.dumps({"type": "auth", "token": None}).decode())
    assert orjson.loads(await socket.recv())["type"] == "auth_success"
    return socket


async def _subscribers_are_closed_with_1013(site: Site) -> None:
    socket = await _open(site, "/events/out")
    past = {"since": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}
    await socket.send(orjson.dumps({"type": "filter", "filter": {"occurred": past}}).decode())
    with pytest.raises(websockets.ConnectionClosed) as closed:
        await socket.recv()
    assert closed.value.rcvd
    assert closed.value.rcvd.code == 1013


@pytest.mark.parametrize("how", ["stopped", "hangs"])
async def test_servers_answer_for_themselves_while_postgres_is_away(site: Site, primary: Primary, how: str) -> None:
    async with httpx.AsyncClient(base_url=site.api_url, timeout=60) as client:
        assert (await _post(client)).is_success
        await asyncio.to_thread(primary.stop if how == "stopped" else primary.pause)
        try:
            await until(lambda: _is_told_to_wait(client), "clients are told to wait", 30)
            await until(lambda: site.none_is_ready is not False, "no server is ready", 30)
            for answer in await asyncio.gather(*(_post(client) for _ in range(20))):
                assert answer.status_code == 503
                assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
            async with asyncio.timeout(60):
                for path in WEBSOCKETS:
                    await (await _open(site, path)).close()
                await _subscribers_are_closed_with_1013(site)
            assert (await client.get("/ready")).status_code == 503
            assert (await client.get("/health")).status_code == 200
        finally:
            await asyncio.to_thread(primary.restart if how == "stopped" else primary.resume)

        await until(lambda: _takes_writes(site), "every server takes writes again", 30)
        await until(lambda: not site.none_is_ready, "the balancer finds a server ready", 30)
        await until(lambda: _is_ready(client), "whichever server is asked says that it is ready", 30)
        assert [(await _post(client)).status_code for _ in range(30)] == [200] * 30
        await (await _open(site, "/events/out")).close()
    _no_server_was_left_out(site)


def _no_server_was_left_out(site: Site) -> None:
    """NGINX took no server out but the one that is absent."""
    if site.balancer.kind == "nginx":
        out = re.findall(r"upstream server temporarily disabled.*upstream: \"http://[^/]*:(\d+)/", site.balancer.log())
        assert not {server.port for server in site.servers} & {int(port) for port in out}
