"""Who is let in: CORS, credentials, CSRF, and in which order; bodies that are too large; a database that is away."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from sempre.server.app import create_app
from sempre.server.settings import load_settings
from tests.integration.api.world import client
from tests.support.database import Database
from tests.support.rooms import Rooms, open_rooms
from tests.support.servers import SempreServer

ORIGIN = {"origin": "http://ui.test"}
PREFLIGHT = {**ORIGIN, "access-control-request-method": "POST", "access-control-request-headers": "X-One, X-Two"}
MISSING_TOKEN = {"detail": "Missing CSRF token."}
WRONG_TOKEN = {"detail": "Invalid CSRF token or client identifier."}
UNAUTHORIZED = {"exception_message": "Unauthorized"}


def basic(text: str, scheme: str = "Basic") -> dict[str, str]:
    return {"authorization": f"{scheme} {base64.b64encode(text.encode()).decode()}"}


@asynccontextmanager
async def protected(database: Database, env: Mapping[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    async with open_rooms(database, env) as rooms, client(rooms) as http:
        yield http


# --- CORS ----------------------------------------------------------------------------------------------


async def test_preflights_that_are_allowed(rooms: Rooms) -> None:
    answer = await rooms.http.options("/api/flows/filter", headers=PREFLIGHT)
    assert (answer.status_code, answer.text) == (200, "OK")
    assert answer.headers["access-control-max-age"] == "600"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-headers"] == "X-One, X-Two"
    assert "access-control-allow-credentials" not in answer.headers
    simple = await rooms.http.get("/api/hello", headers=ORIGIN)
    assert simple.headers["access-control-allow-origin"] == "*"


async def test_preflights_that_are_not(database: Database) -> None:
    async with protected(database, {"PREFECT_SERVER_CORS_ALLOWED_ORIGINS": "http://a.test,http://b.test"}) as http:
        answer = await http.options("/api/flows/filter", headers=PREFLIGHT)
        assert (answer.status_code, answer.text) == (400, "Disallowed CORS origin")
        allowed = await http.options("/api/flows/filter", headers={**PREFLIGHT, "origin": "http://b.test"})
        assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, "http://b.test")
        simple = await http.get("/api/hello", headers={"origin": "http://a.test"})
        assert simple.headers["access-control-allow-origin"] == "http://a.test"
        assert "Origin" in simple.headers["vary"]
        assert "access-control-allow-origin" not in (await http.get("/api/hello", headers=ORIGIN)).headers


# --- credentials ---------------------------------------------------------------------------------------

AUTH = {"PREFECT_SERVER_API_AUTH_STRING": "admin:pa:ss"}


async def test_credentials(database: Database) -> None:
    async with protected(database, AUTH) as http:
        for headers in (
            {}, basic("admin:pa:ss", "basic"), basic("admin:pa:ss", "BASIC"), basic("admin:pa"), basic("admin"),
            basic("admin:pa:ss:"), basic(""), basic("żółw:ü"), {"authorization": "Basic"},
            {"authorization": "Basic admin:pa:ss"}, {"authorization": "Bearer x"}, basic("admin:pa:ss", "Basic "),
        ):  # fmt: skip
            answer = await http.get("/api/hello", headers=headers)
            assert (answer.status_code, answer.json()) == (401, UNAUTHORIZED), headers
            assert "www-authenticate" not in answer.headers
        raw = await http.get("/api/hello", headers=[(b"authorization", b"Basic \xff\xfe\xc5\xbc")])
        assert (raw.status_code, raw.json()) == (401, UNAUTHORIZED)
        assert (await http.get("/api/hello", headers=basic("admin:pa:ss"))).status_code == 200


async def test_what_needs_no_credentials_and_what_does(database: Database) -> None:
    async with protected(database, AUTH) as http:
        for path in ("/api/health", "/api/ready", "/docs", "/openapi.json", "/ui-settings"):
            assert (await http.get(path)).status_code == 200, path
        for method, path in (
            ("GET", "/api/health/"), ("POST", "/api/health"), ("HEAD", "/api/health"), ("GET", "/api/version"),
            ("GET", "/api/nope"), ("GET", "/api/nope/health"), ("GET", "/api/nope/ready"), ("GET", "/api/docs"),
            ("GET", "/api/openapi.json"), ("GET", "/api/csrf-token"), ("PUT", "/api/flows/"),
            ("GET", "/api//health"), ("OPTIONS", "/api/flows/filter"), ("GET", "/api/healthz"),
            ("GET", "/api/metrics"), ("GET", "/api/flows/name/health"), ("GET", "/api/%68ealth/x"),
        ):  # fmt: skip
            answer = await http.request(method, path, headers={"host": "x/api/health"})
            assert answer.status_code == 401, (method, path)
        answer = await http.get("/api/nope", headers=basic("admin:pa:ss"))
        assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


async def test_nobody_needs_credentials_for_a_preflight_and_a_refusal_is_readable(database: Database) -> None:
    async with protected(database, AUTH) as http:
        assert (await http.options("/api/flows/filter", headers=PREFLIGHT)).status_code == 200
        refused = await http.get("/api/hello", headers=ORIGIN)
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "*")
        # Credentials come before versions, shapes and existence.
        both = await http.post("/api/flows/", content=b"{", headers={"x-prefect-api-version": "abc"})
        assert both.status_code == 401


# --- CSRF ----------------------------------------------------------------------------------------------

CSRF = {"PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true"}


def csrf(token: str | None = None, owner: str | None = None) -> dict[str, str]:
    sent = {"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": owner}
    return {name: value for name, value in sent.items() if value is not None}


async def test_csrf_tokens(database: Database) -> None:
    async with open_rooms(database, CSRF) as rooms, client(rooms) as http:
        answer = await http.get("/api/csrf-token?client=me")
        first = answer.json()
        assert set(first) == {"id", "created", "updated", "token", "client", "expiration"}
        assert (first["client"], len(bytes.fromhex(first["token"]))) == ("me", 32)
        good = csrf(first["token"], "me")
        assert (await http.post("/api/flows/filter", headers=good)).status_code == 200
        for headers, body in (
            (csrf(), MISSING_TOKEN), (csrf(owner="me"), MISSING_TOKEN),
            (csrf(first["token"]), {"detail": "Missing client identifier."}),
            (csrf("0" * 64, "me"), WRONG_TOKEN), (csrf(first["token"], "you"), WRONG_TOKEN),
        ):  # fmt: skip
            for method in ("POST", "PUT", "PATCH", "DELETE"):
                answer = await http.request(method, "/api/flows/filter", headers={**headers, **ORIGIN})
                assert (answer.status_code, answer.json()) == (403, body), (method, headers)
                allowed = answer.headers.get("access-control-allow-origin")
                assert allowed == ("*" if body is WRONG_TOKEN else None)
        hostile = [(b"prefect-csrf-token", b"\xff\x00"), (b"prefect-csrf-client", b"a\x00b")]
        assert (await http.post("/api/flows/filter", headers=hostile)).status_code == 403
        assert (await http.get("/api/hello")).status_code == 200
        second = (await http.get("/api/csrf-token?client=me")).json()
        assert second["token"] != first["token"]
        assert (await http.post("/api/flows/filter", headers=good)).json() == WRONG_TOKEN
        await rooms.scope.db.execute("UPDATE csrf_token SET expiration = now() - interval '1 second'")
        assert (await http.post("/api/flows/filter", headers=csrf(second["token"], "me"))).json() == WRONG_TOKEN
        assert (await http.get("/api/csrf-token")).json()["exception_detail"][0]["loc"] == ["query", "client"]
        await http.get("/api/csrf-token?client=other")
        assert await rooms.scope.db.fetchval("SELECT count(*) FROM csrf_token WHERE client = 'me'") == 0


async def test_without_protection_there_are_no_tokens(rooms: Rooms) -> None:
    answer = await rooms.http.get("/api/csrf-token?client=me")
    assert (answer.status_code, answer.json()) == (422, {"detail": "CSRF protection is disabled."})


async def test_csrf_is_asked_before_credentials(database: Database) -> None:
    async with protected(database, {**AUTH, **CSRF}) as http:
        assert (await http.post("/api/flows/filter")).json() == MISSING_TOKEN
        assert (await http.get("/api/csrf-token?client=me")).status_code == 401
        token = (await http.get("/api/csrf-token?client=me", headers=basic("admin:pa:ss"))).json()["token"]
        assert (await http.post("/api/flows/filter", headers=csrf(token, "me"))).json() == UNAUTHORIZED
        both = {**csrf(token, "me"), **basic("admin:pa:ss")}
        assert (await http.post("/api/flows/filter", headers=both)).status_code == 200


# --- another prefix ------------------------------------------------------------------------------------


async def test_the_prefix_is_a_setting(database: Database) -> None:
    async with protected(database, {**AUTH, "PREFECT_SERVER_API_BASE_PATH": "/v2/api"}) as http:
        assert (await http.get("/v2/api/health")).json() is True
        assert (await http.get("/v2/api/hello")).status_code == 401
        assert (await http.get("/api/health")).status_code == 404
        found = await http.post("/v2/api/flows/filter", headers=basic("admin:pa:ss"))
        assert found.status_code == 200


# --- bodies that are too large -------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/flows/", "/flows/filter", "/logs/", "/nope"])
async def test_bodies_that_are_too_large(database: Database, path: str) -> None:
    async with open_rooms(database) as rooms, client(rooms) as http:
        size = rooms.scope.settings.api.max_body_size
        assert size == 10 * 1024 * 1024

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(11):
                yield b" " * 1024 * 1024

        for content in (b" " * (size + 1), chunks()):
            answer = await http.post(f"/api{path}", content=content)
            if path == "/nope" and not isinstance(content, bytes):
                assert answer.status_code == 404  # nobody reads it
                continue
            assert (answer.status_code, list(answer.json())) == (413, ["detail"])
            assert answer.headers["connection"] == "close"


async def test_a_large_body_over_a_socket_and_redirects_behind_a_proxy(server: SempreServer) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b" " * 1024 * 1024

    async with httpx.AsyncClient(base_url=server.url) as http:
        assert (await http.post("/api/flows/", content=b" " * (10 * 1024 * 1024 + 1))).status_code == 413
        assert (await http.post("/api/flows/", content=chunks())).status_code == 413
        fits = b'{"name": "x", "tags": ["' + b"t" * 9_000_000 + b'"]}'
        answer = await http.post("/api/flows/", content=fits)
        assert answer.status_code == 201
        headers = {"x-forwarded-proto": "https", "host": "sempre.example"}
        redirect = await http.post("/api/flows?a=1", headers=headers)
        assert redirect.headers["location"] == "https://sempre.example/api/flows/?a=1"


# --- a database that is away ---------------------------------------------------------------------------


async def test_a_database_that_is_away(database: Database) -> None:
    nowhere = Database("nothing", "/nonexistent")
    async with open_rooms(nowhere) as rooms, client(rooms) as http:
        for method, path in (("GET", "/flows/name/x"), ("POST", "/flows/filter"), ("POST", "/flows/"),
                             ("POST", "/logs/")):  # fmt: skip
            body: Any = {"name": "x"} if path == "/flows/" else None
            if path == "/logs/":
                body = [{"name": "n", "level": 1, "message": "m", "timestamp": "2026-01-01T00:00:00Z"}]
            answer = await http.request(method, f"/api{path}", json=body)
            assert (answer.status_code, answer.json()) == (503, {"exception_message": "Service Unavailable"}), path
            assert float(answer.headers["retry-after"]) > 0
        assert (await http.get("/api/health")).json() is True
        ready = await http.get("/api/ready")
        assert (ready.status_code, ready.json()) == (503, {"message": "Database is not available"})
        assert (await http.post("/api/flows/", content=b"{")).status_code == 422


async def test_csrf_and_a_database_that_is_away() -> None:
    async with open_rooms(Database("nothing", "/nonexistent"), CSRF) as rooms, client(rooms) as http:
        answer = await http.post("/api/flows/filter", headers=csrf("0", "me"))
        assert (answer.status_code, answer.json()) == (503, {"exception_message": "Service Unavailable"})


async def test_a_replica_is_made_from_settings_alone() -> None:
    """Making the app touches nothing: no database, no file."""
    settings = load_settings(env={"SEMPRE_SERVER_DATABASE_CONNECTION_URL": "postgresql://nowhere.invalid/x"})
    assert create_app(settings, services=False).openapi()["paths"]
