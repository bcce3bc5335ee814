"""The files of deploy/: valid for the programs that read them, with the timeouts that the protocol needs, and passing
on what servers need to know."""

from __future__ import annotations

import asyncio
import re
import ssl
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import websockets
import yaml

from tests.balancers.balancers import DEPLOY, KINDS, WEBSOCKETS, Balancer, NobodyThere, settings_of_servers
from tests.balancers.conftest import Site
from tests.support import debian
from tests.support.certificates import certificate_for
from tests.support.events import an_event
from tests.support.net import free_port

pytestmark = pytest.mark.balancers

IDLE_SECONDS = 90  # pings come every 20


@pytest.fixture
def absent() -> Iterator[NobodyThere]:
    with NobodyThere() as nobody:
        yield nobody


@pytest.mark.parametrize("kind", KINDS)
def test_the_program_accepts_its_file(kind: str, tmp_path: Path, absent: NobodyThere) -> None:
    try:
        balancer = Balancer(kind, tmp_path, [absent.port] * 3)
    except debian.Unavailable as reason:
        pytest.skip(str(reason))
    flag = {"nginx": "-t", "haproxy": "-c"}[kind]
    checked = subprocess.run(
        [*balancer.command(), flag], env=balancer.environment(), capture_output=True, text=True, check=False, timeout=30
    )
    said = checked.stdout + checked.stderr
    assert checked.returncode == 0, said
    assert "warn" not in said.lower(), said


def _nginx_seconds(name: str, text: str) -> list[int]:
    units = {"s": 1, "m": 60, "h": 3600}
    return [int(number) * units[unit] for number, unit in re.findall(rf"^\s*{name} (\d+)([smh]);", text, re.MULTILINE)]


def test_nginx_outlasts_idle_websockets_and_ends_idle_connections_first() -> None:
    proxy, main = (DEPLOY / "nginx" / "proxy.conf").read_text(), (DEPLOY / "nginx" / "nginx.conf").read_text()
    match = re.search(r"location ~ (\S+) \{([^}]*)\}", proxy)
    assert match
    assert all(re.search(match[1], f"/api{path}") for path in WEBSOCKETS)
    assert not re.search(match[1], "/api/events/filter")
    for name in ("proxy_read_timeout", "proxy_send_timeout"):
        assert min(_nginx_seconds(name, match[2])) > IDLE_SECONDS
    kept = float(settings_of_servers()["SEMPRE_SERVER_API_KEEPALIVE_TIMEOUT_SECONDS"])
    assert max(_nginx_seconds("keepalive_timeout", main)) < kept
    assert "sticky" not in main and "ip_hash" not in main  # noqa: PT018


def test_haproxy_outlasts_idle_websockets_and_ends_idle_connections_first() -> None:
    text = (DEPLOY / "haproxy" / "haproxy.cfg").read_text()
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
    timeouts = {
        name: int(number) * units[unit] for name, number, unit in re.findall(r"timeout (\S+) (\d+)(ms|s|m|h)\b", text)
    }
    assert timeouts["tunnel"] > IDLE_SECONDS
    purge = re.search(r"pool-purge-delay (\d+)s", text)
    kept = float(settings_of_servers()["SEMPRE_SERVER_API_KEEPALIVE_TIMEOUT_SECONDS"])
    assert purge and 2 * int(purge[1]) < kept  # noqa: PT018
    assert timeouts["http-keep-alive"] < kept
    assert "cookie" not in text and "stick" not in text.lower().replace("stickiness", "")  # noqa: PT018


def test_traefik_asks_for_readiness_and_sticks_to_nobody() -> None:
    """No Traefik runs here: its files are read, and were held against the types of its published schema."""
    static = yaml.safe_load((DEPLOY / "traefik" / "traefik.yml").read_text())
    http = yaml.safe_load((DEPLOY / "traefik" / "sempre.yml").read_text())["http"]
    responding = static["entryPoints"]["sempre"]["transport"]["respondingTimeouts"]
    assert responding["readTimeout"] == "1h"
    services = http["services"]
    failover = services["api"]["failover"]
    ready, alive = (services[failover[part]]["loadBalancer"] for part in ("service", "fallback"))
    assert ready["healthCheck"]["path"] == "/api/ready"
    assert alive["healthCheck"]["path"] == "/api/health"
    for check in (ready["healthCheck"], alive["healthCheck"]):
        assert int(check["timeout"].rstrip("s")) < int(check["interval"].rstrip("s"))
    assert {**alive, "healthCheck": None} == {**ready, "healthCheck": None}
    assert "sticky" not in ready
    transport = http["serversTransports"][ready["serversTransport"]]
    kept = float(settings_of_servers()["SEMPRE_SERVER_API_KEEPALIVE_TIMEOUT_SECONDS"])
    assert int(transport["forwardingTimeouts"]["idleConnTimeout"].rstrip("s")) < kept
    for router in http["routers"].values():
        assert router["service"] in http["services"]
        assert set(router["entryPoints"]) <= set(static["entryPoints"])
        assert set(router["middlewares"]) <= set(http["middlewares"])


async def _pages(client: httpx.AsyncClient) -> dict[str, Any]:
    events = [an_event("balancer.paged") for _ in range(60)]
    assert (await client.post("/events", json=events)).status_code == 204
    wanted = {
        "event": {"name": ["balancer.paged"]},
        "occurred": {"since": datetime(2020, 1, 1, tzinfo=UTC).isoformat()},
    }
    page: dict[str, Any] = (await client.post("/events/filter", json={"filter": wanted, "limit": 50})).json()
    return page


async def test_links_lead_back_through_the_balancer(site: Site) -> None:
    async with httpx.AsyncClient(base_url=site.api_url, timeout=30) as client:
        page = await _pages(client)
        assert page["next_page"].startswith(f"{site.api_url}/events/filter/next?")
        assert (await client.get(page["next_page"])).json()["events"]
        # A balancer before this one ends TLS.
        outside = {"Host": "api.example.com", "X-Forwarded-Proto": "https"}
        page = (await client.post("/events/filter", json={"limit": 10}, headers=outside)).json()
        assert page["next_page"].startswith("https://api.example.com/api/events/filter/next?")


async def test_bodies_of_ten_megabytes_pass_and_larger_ones_are_refused(site: Site) -> None:
    async with httpx.AsyncClient(base_url=site.api_url, timeout=60) as client:
        large = an_event("balancer.large", payload={"text": "x" * 1_000_000})
        assert (
            await client.post("/events", json=[{**large, "id": an_event()["id"]} for _ in range(9)])
        ).status_code == 204
        answer = await client.post("/events", content=b"[" + b" " * 11_000_000 + b"]")
        assert answer.status_code == 413


@pytest.mark.parametrize("path", ["/events/out", "/logs/out"])
async def test_websockets_pass(site: Site, path: str) -> None:
    url = site.api_url.replace("http", "ws", 1) + path
    async with asyncio.timeout(60), websockets.connect(url, subprotocols=[websockets.Subprotocol("prefect")]) as socket:
        assert socket.subprotocol == "prefect"
        await socket.send(orjson.dumps({"type": "auth", "token": None}).decode())
        assert orjson.loads(await socket.recv()) == {"type": "auth_success"}


async def test_a_server_that_is_not_there_is_noticed_by_nobody(site: Site) -> None:
    """The third server of the file is absent in all of these tests."""
    async with httpx.AsyncClient(base_url=site.api_url, timeout=30) as client:
        answers = [await client.post("/flows/", json={"name": f"flow-{number}"}) for number in range(30)]
    assert {answer.status_code for answer in answers} <= {200, 201}


async def test_tls_ends_at_nginx_for_two_names(site: Site, tmp_path: Path) -> None:
    if site.balancer.kind != "nginx":
        pytest.skip("HAProxy's TLS is two lines without logic of their own")
    certificate, _ = certificate_for("api.example.com", tmp_path)
    port, plain = free_port(), free_port()
    balancer = Balancer("nginx", tmp_path, [server.port for server in site.servers] + [site.servers[0].port])
    balancer.start(
        replaced={
            "# include tls.conf;": "include tls.conf;",
            "listen 443 ": f"listen 127.0.0.1:{port} ",
            "listen 80;": f"listen 127.0.0.1:{plain};",
            "/etc/nginx/tls/fullchain.pem": str(certificate),
            "/etc/nginx/tls/privkey.pem": str(certificate.with_suffix(".key")),
        }
    )
    trusting = ssl.create_default_context(cafile=str(certificate))
    trusting.check_hostname = False
    try:
        async with httpx.AsyncClient(base_url=f"https://127.0.0.1:{port}", verify=trusting, timeout=30) as client:
            for name, path, status in (
                ("api.example.com", "/api/ready", 200),
                ("api.example.com", "/dashboard", 404),
                ("app.example.com", "/api/ready", 200),
                ("app.example.com", "/docs", 200),
            ):
                answer = await client.get(path, headers={"Host": name})
                assert answer.status_code == status, (name, path)
            page = await client.post("/api/events/filter", json={"limit": 10}, headers={"Host": "api.example.com"})
            assert page.json()["next_page"].startswith("https://api.example.com/api/events/")
        async with httpx.AsyncClient() as client:
            moved = await client.get(f"http://127.0.0.1:{plain}/api/ready", headers={"Host": "api.example.com"})
            assert moved.status_code == 308
            assert moved.headers["location"] == "https://api.example.com/api/ready"
    finally:
        balancer.stop()
