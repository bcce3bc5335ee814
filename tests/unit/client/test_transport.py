"""Repeating calls: the same bytes, CSRF tokens on demand, what counts as carried out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from sempre.client import backstage
from sempre.client import transport as transports
from sempre.client.errors import (
    ApiRefused,
    ApiUnreachable,
    NotAllowed,
    ObjectAlreadyExists,
    ObjectLimitReached,
    ObjectNotFound,
    Unauthorized,
)
from sempre.client.headers import common_headers
from sempre.client.transport import Answer, Transport, rules_of
from sempre.settings import ClientSettings
from sempre.settings.client import ApiSettings, TransportSettings

Step = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


def settings(**client: object) -> ClientSettings:
    return ClientSettings(
        home=Path("/nonexistent"),
        api=ApiSettings(url="http://api.test/api", auth_string="user:secret"),
        client=TransportSettings(**{"patience_seconds": 5.0, **client}),  # type: ignore[arg-type]
    )


class Api:
    """Answers by a script, and keeps what it was asked."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step(request) if callable(step) else step

    def call(self, method: str = "POST", path: str = "/x", content: bytes | None = b"{}", **client: object) -> Answer:
        given = settings(**client)

        async def work() -> Answer:
            transport = Transport(given, transport=httpx.MockTransport(self))
            try:
                return await transport.request(rules_of(given), method, path, content)
            finally:
                await transport.close()

        return backstage.run(work(), timeout=30)


def busy(status: int = 503, **headers: str) -> httpx.Response:
    return httpx.Response(status, headers={"Retry-After": "0", **{k.replace("_", "-"): v for k, v in headers.items()}})


def test_the_same_bytes_until_there_is_an_answer() -> None:
    api = Api(busy(), busy(429), httpx.ConnectError("refused"), httpx.ReadError("cut"), httpx.Response(200, json=1))
    answer = api.call(content=b'{"a":1}')
    assert answer.repeated
    assert [request.content for request in api.asked] == [b'{"a":1}'] * 5
    assert {request.headers["authorization"] for request in api.asked} == {"Basic dXNlcjpzZWNyZXQ="}
    assert {request.headers["x-prefect-api-version"] for request in api.asked} == {"0.8.4"}
    assert api.asked[0].headers["user-agent"].startswith("sempre/")


@pytest.mark.parametrize(
    ("first", "repeated"),
    [(busy(503), False), (busy(502), True), (busy(504), True), (httpx.ConnectError("x"), False),
     (httpx.ReadTimeout("x"), True), (httpx.RemoteProtocolError("x"), True)],
)  # fmt: skip
def test_an_attempt_that_may_have_been_carried_out_is_remembered(first: Step, repeated: bool) -> None:
    assert Api(first, httpx.Response(200)).call().repeated is repeated


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, Unauthorized), (403, NotAllowed), (404, ObjectNotFound), (409, ObjectAlreadyExists), (422, ApiRefused),
     (500, ApiRefused)],
)  # fmt: skip
def test_errors(status: int, kind: type[ApiRefused]) -> None:
    with pytest.raises(kind) as caught:
        Api(httpx.Response(status, json={"detail": "why"})).call()
    assert type(caught.value) is kind
    assert caught.value.status_code == status
    assert str(caught.value) == f"POST http://api.test/api/x was answered with {status}: why"


def test_errors_say_more() -> None:
    with pytest.raises(ObjectLimitReached):
        Api(httpx.Response(403, json={"detail": "the maximum number of deployments"})).call()
    with pytest.raises(ApiRefused) as caught:
        Api(httpx.Response(423, headers={"Retry-After": "7"})).call()
    assert caught.value.retry_after == 7
    with pytest.raises(ObjectAlreadyExists) as again:
        Api(httpx.ReadError("cut"), httpx.Response(409)).call()
    assert again.value.repeated


def test_patience_ends() -> None:
    with pytest.raises(ApiUnreachable, match=r"http://api\.test/api could not be reached"):
        Api(httpx.ConnectError("refused")).call(patience_seconds=0.0)
    with pytest.raises(ObjectNotFound):
        Api(httpx.Response(404)).call(patience_seconds=0.0)


def test_maintenance_is_not_counted() -> None:
    waiting = [busy(prefect_maintenance="true") for _ in range(5)]
    assert Api(*waiting, httpx.Response(200)).call(patience_seconds=0.0).status == 200


def test_extra_codes() -> None:
    assert Api(busy(500), httpx.Response(201)).call(retry_extra_codes=(500,)).status == 201


def test_a_token_is_fetched_when_one_is_wanted() -> None:
    def checked(request: httpx.Request) -> httpx.Response:
        assert request.headers["prefect-csrf-token"] == "t"
        return httpx.Response(200 if request.headers["prefect-csrf-client"] else 403)

    token = httpx.Response(200, json={"token": "t", "client": "c", "expiration": "2030-01-01T00:00:00Z"})
    api = Api(httpx.Response(403, json={"detail": "Missing CSRF token."}), token, checked)
    assert api.call().status == 200
    assert [request.url.path for request in api.asked] == ["/api/x", "/api/csrf-token", "/api/x"]
    refused = Api(httpx.Response(403, json={"detail": "Missing CSRF token."}))
    with pytest.raises(NotAllowed):
        refused.call(csrf_support_enabled=False)


def test_headers_of_ones_own_and_of_whom_it_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT__FLOW_NAME", " daily \t")
    monkeypatch.setenv("SEMPRE__WORKER_ID", "w")
    headers = common_headers(settings(custom_headers={"X-Team": "data", "user-agent": "evil"}))
    assert headers["X-Team"] == "data"
    assert "user-agent" not in headers
    assert (headers["X-Prefect-Flow-Name"], headers["X-Prefect-Worker-Id"]) == ("daily", "w")


def test_one_transport_for_all_who_want_the_same() -> None:
    async def ask() -> tuple[bool, bool]:
        one, two = transports.transport_of(settings()), transports.transport_of(settings())
        return one is two, one is transports.transport_of(settings(patience_seconds=1.0))

    assert backstage.run(ask()) == (True, False)
