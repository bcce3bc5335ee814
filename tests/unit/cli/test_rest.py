"""The command line's calls: repeated while the API is away, let in with tokens, refused in sentences."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from sempre.cli.errors import AlreadyExists, ApiAway, ApiError, NotFound
from sempre.cli.rest import Api, Target
from sempre.core.retrying import RetryRules

Reply = tuple[int, dict[str, str], Any]


class Script:
    """What the API says, one reply after the other (the last for ever), and what it was asked."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.requests: list[tuple[str, dict[str, str], bytes]] = []

    def answer(self, line: str, headers: dict[str, str], body: bytes) -> Reply:
        self.requests.append((line, headers, body))
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


@contextmanager
def serving(script: Script, *, keep: bool = True) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, answer = script.answer(f"{self.command} {self.path}", dict(self.headers), body)
            content = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
            # Without saying so: as a balancer that drops an idle connection.
            self.close_connection = not keep

        do_GET = do_POST = do_DELETE = _any

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/api"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def api_at(url: str, patience: float = 5.0, **headers: str) -> Any:
    rules = RetryRules(patience=patience, heed_maintenance=False)
    return closing(Api(Target(url=url, headers=headers, rules=rules, timeout=5)))


def test_calls_are_repeated_while_the_api_asks_to_wait() -> None:
    script = Script((503, {"Retry-After": "0"}, {}), (502, {"Retry-After": "0"}, {}), (200, {}, {"id": 1}))
    with serving(script) as url, api_at(url, Authorization="Basic x") as api:
        assert api.post("/flows/", {"name": "a"}) == {"id": 1}
    assert [line for line, _, _ in script.requests] == ["POST /api/flows/"] * 3
    assert {body for _, _, body in script.requests} == {b'{"name": "a"}'}
    assert script.requests[0][1]["Authorization"] == "Basic x"


def test_patience_ends_in_a_sentence() -> None:
    with serving(Script((503, {}, {}))) as url, api_at(url, patience=0) as api, pytest.raises(ApiAway) as away:
        api.get("/flows/x")
    assert away.value.status == 503
    with api_at("http://127.0.0.1:9/api", patience=0) as api, pytest.raises(ApiAway, match="sempre server start"):
        api.get("/flows/x")


@pytest.mark.parametrize("keep", [True, False])
def test_connections_are_kept_and_replaced(keep: bool) -> None:
    script = Script((200, {}, []))
    with serving(script, keep=keep) as url, api_at(url, patience=0) as api:
        for _ in range(3):
            assert api.post("/flows/filter") == []
    assert len(script.requests) == 3


def test_a_token_is_fetched_where_one_is_missed() -> None:
    script = Script(
        (403, {}, {"detail": "Missing CSRF token."}), (200, {}, {"token": "t0"}), (201, {}, {"id": 1}), (200, {}, None)
    )
    with serving(script) as url, api_at(url) as api:
        api.post("/flows/", {"name": "a"})
        api.delete("/flows/1")
    lines = [line.partition("?")[0] for line, _, _ in script.requests]
    assert lines == ["POST /api/flows/", "GET /api/csrf-token", "POST /api/flows/", "DELETE /api/flows/1"]
    assert [headers.get("Prefect-Csrf-Token") for _, headers, _ in script.requests] == [None, None, "t0", "t0"]


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (404, {"detail": "Flow not found"}, NotFound, "Flow not found"),
        (409, {"detail": "exists"}, AlreadyExists, "exists"),
        (401, {"exception_message": "Unauthorized"}, ApiError, "SEMPRE_API_AUTH_STRING"),
        (422, {"detail": [{"loc": ["body", "limit"], "msg": "too large"}]}, ApiError, "limit: too large"),
        (422, {"exception_detail": [{"loc": ["body"], "msg": "no"}]}, ApiError, ": no"),
        (500, None, ApiError, "it gave no reason"),
    ],
)
def test_refusals_in_words(status: int, body: Any, kind: type[ApiError], text: str) -> None:
    with serving(Script((status, {}, body))) as url, api_at(url) as api, pytest.raises(kind) as refused:
        api.get("/flows/1")
    assert text in str(refused.value)
    assert refused.value.status == status


def test_a_redirect_says_where_to() -> None:
    script = Script((308, {"Location": "https://elsewhere/api/flows/1"}, None))
    with serving(script) as url, api_at(url) as api, pytest.raises(ApiError, match="https://elsewhere"):
        api.get("/flows/1")
