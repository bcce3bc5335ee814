"""A raw HTTP client with the retry rules of the protocol's own, that notes every answer it got."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx

from tests.chaos.ledger import Ledger

RETRIED = frozenset({408, 429, 502, 503})
HEADERS = {"User-Agent": "prefect/3.8.8 (API 0.8.4)", "X-PREFECT-API-VERSION": "0.8.4", "X-Prefect-Worker-Name": "load"}
# Far less than the client's 60 s: a frozen server must cost a retry, not the test.
REQUEST_SECONDS = 6.0
GIVE_UP_SECONDS = 90.0
_LONGEST_PAUSE = 2.0

Json = dict[str, Any]
Watch = Callable[[float, httpx.Response | Exception], None]


class GaveUp(AssertionError):
    """A request was refused for longer than any fault lasts."""


class Api:
    """Requests to one API. `statuses` counts the answers; `watch` is told each of them with its seconds."""

    def __init__(
        self, url: str, ledger: Ledger, watch: Watch | None = None, *, timeout: float = REQUEST_SECONDS
    ) -> None:
        self.http = httpx.AsyncClient(base_url=url, headers=HEADERS, timeout=timeout)
        self.ledger = ledger
        self.statuses: Counter[str] = Counter()
        self._watch = watch

    async def post(self, path: str, body: object, *, expected: frozenset[int] = frozenset()) -> httpx.Response:
        """POST until the answer is a success or one of `expected`; every other answer fails, 500 above all."""
        deadline = time.monotonic() + GIVE_UP_SECONDS
        attempt = 0
        while True:
            wait = min(0.2 * 2**attempt, _LONGEST_PAUSE)
            answer = await self._once(path, body)
            if isinstance(answer, httpx.Response):
                if answer.is_success or answer.status_code in expected:
                    return answer
                assert answer.status_code in RETRIED, f"POST {path}: {answer.status_code} {answer.text[:500]}"
                wait = min(float(answer.headers.get("Retry-After", wait)), _LONGEST_PAUSE)
            if time.monotonic() > deadline:
                raise GaveUp(f"POST {path} was never answered: {answer!r}")
            attempt += 1
            await pause(wait)

    async def _once(self, path: str, body: object) -> httpx.Response | Exception:
        began = time.monotonic()
        answer: httpx.Response | Exception
        try:
            answer = await self.http.post(path, json=body)
            self.statuses[str(answer.status_code)] += 1
        except httpx.TransportError as error:
            self.statuses[type(error).__name__] += 1
            answer = error
        if self._watch:
            self._watch(time.monotonic() - began, answer)
        return answer

    async def create(self, path: str, body: Json) -> Json:
        """Create a run; the idempotency key makes a repeated request find the run of the first."""
        run: Json = (await self.post(path, {"idempotency_key": uuid.uuid4().hex, **body})).json()
        self.ledger.write("created", id=run["id"])
        return run

    async def move(self, run_id: str, type: str, name: str | None = None) -> bool:
        """Propose a state until there is an answer, waiting if told to; whether the run entered it."""
        transition = str(uuid.uuid4())
        state = {"type": type, "name": name or type.capitalize(), "state_details": {"transition_id": transition}}
        answer = (await self.post(f"/flow_runs/{run_id}/set_state", {"state": state})).json()
        if answer["status"] == "WAIT":
            await pause(answer["details"]["delay_seconds"])
            return await self.move(run_id, type, name)
        given = answer["state"] or {}
        # The answer to a repeated proposal is the state that the lost answer told of.
        repeated = (given.get("state_details") or {}).get("transition_id") == transition
        if answer["status"] != "ACCEPT" and not (repeated and given["type"] == type):
            return False
        self.ledger.write("moved", id=run_id, state=given["id"])
        if type in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
            self.ledger.write("finished", id=run_id, type=type)
        return True


async def pause(seconds: float, until: asyncio.Event | None = None) -> None:
    """Wait `seconds`, or until the event is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await (until or asyncio.Event()).wait()
