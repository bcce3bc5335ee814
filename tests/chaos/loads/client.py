"""A client that retries exactly as the protocol's own does, and keeps a ledger of how its calls went."""

from __future__ import annotations

import asyncio
import random
import re
import time
import uuid
from collections import Counter
from typing import Any

import httpx

from tests.chaos.ledger import Ledger

Json = dict[str, Any]

RETRIED = frozenset({408, 429, 502, 503})
TRIES = 6
# Answers that may get lost: the same request again must have no other effect.
_REPEATABLE = re.compile(r"/set_state$|/events$|/create_flow_run$|^/flow_runs/$|^/task_runs/$")
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
_AGENT = {"User-Agent": "prefect/3.8.8 (API 0.8.4)", "X-PREFECT-API-VERSION": "0.8.4"}


class GaveUp(Exception):
    """A call used up its tries."""


class Wrong(Exception):
    """An answer that the protocol's client raises to its caller."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status} {text}")
        self.status = status


class Client:
    """One connection pool, as of one process. `worker` names the worker that the calls are made for.

    `lost`: the share of answers to repeatable requests that never arrive, as when a connection breaks after the commit.
    """

    def __init__(
        self,
        url: str,
        ledger: Ledger,
        calls: Ledger,
        draw: random.Random,
        *,
        worker: str = "",
        timeout: float = 60.0,
        lost: float = 0.0,
    ) -> None:
        headers = {**_AGENT, **({"X-Prefect-Worker-Name": worker} if worker else {})}
        limits = httpx.Limits(max_connections=16, max_keepalive_connections=8, keepalive_expiry=25)
        self.http = httpx.AsyncClient(base_url=url, headers=headers, timeout=timeout, limits=limits)
        self.url = url
        self.ledger = ledger
        self.calls = calls
        self.draw = draw
        self.worker = worker
        self.lost = lost
        self.process = uuid.uuid4().hex[:12]
        # Cleared while the process that makes the calls stands still.
        self.awake = asyncio.Event()
        self.awake.set()

    async def post(self, path: str, body: object, *, expected: frozenset[int] = frozenset()) -> httpx.Response:
        return await self.call("POST", path, body, expected=expected)

    async def get(self, path: str, *, expected: frozenset[int] = frozenset()) -> httpx.Response:
        return await self.call("GET", path, expected=expected)

    async def call(
        self, method: str, path: str, body: object = None, *, expected: frozenset[int] = frozenset()
    ) -> httpx.Response:
        """Until a success or an `expected` status. Raises GaveUp, Wrong."""
        began, bad = time.monotonic(), Counter[str]()
        facts = {"path": f"{method} {_ID.sub('*', path)}", "bad": bad}
        attempt = 0
        while attempt < TRIES:
            pause = 2.0 ** (attempt + 1) * self.draw.uniform(0.824, 1.2)
            attempt += 1
            await self.awake.wait()
            try:
                answer = await self.http.request(method, path, json=body)
            except httpx.TransportError as error:
                bad[type(error).__name__] += 1
            else:
                if answer.is_success and attempt == 1 and self._loses(path):
                    bad["lost"] += 1
                    continue
                if answer.is_success or answer.status_code in expected:
                    seconds = round(time.monotonic() - began, 4)
                    self.calls.write("call", seconds=seconds, attempts=bad.total() + 1, **facts)
                    return answer
                bad[str(answer.status_code)] += 1
                if answer.status_code not in RETRIED:
                    self.calls.write("wrong", status=answer.status_code, text=answer.text[:300], **facts)
                    raise Wrong(answer.status_code, answer.text[:300])
                if "Retry-After" in answer.headers:
                    pause = float(answer.headers["Retry-After"]) * self.draw.uniform(1.0, 1.2)
                if answer.headers.get("Prefect-Maintenance") == "true":
                    attempt -= 1  # as long as a server says so, clients wait without limit
            if attempt < TRIES:
                await asyncio.sleep(pause)
        self.calls.write("gave_up", seconds=round(time.monotonic() - began, 3), **facts)
        raise GaveUp(f"{facts['path']}: {dict(bad)}")

    def _loses(self, path: str) -> bool:
        return bool(_REPEATABLE.search(path)) and self.draw.random() < self.lost

    async def propose(self, run_id: str, type: str, name: str | None = None, **details: object) -> Json:
        """Propose a state of a flow run, waiting if told to; the answer, with `ok`: the run is in it now."""
        transition = str(uuid.uuid4())
        state = {
            "type": type,
            "name": name or type.capitalize(),
            "state_details": {"transition_id": transition, **details},
        }
        while True:
            answer: Json = (await self.post(f"/flow_runs/{run_id}/set_state", {"state": state})).json()
            if answer["status"] != "WAIT":
                break
            await asyncio.sleep(float(answer["details"]["delay_seconds"]))
        given = answer["state"] or {}
        # The answer to a repeated proposal is the state that the lost answer told of.
        repeated = (given.get("state_details") or {}).get("transition_id") == transition and given.get("type") == type
        answer["ok"] = answer["status"] == "ACCEPT" or repeated
        if answer["ok"]:
            self.ledger.write("moved", id=run_id, state=given["id"], type=type, process=self.process)
            if type in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
                self.ledger.write("finished", id=run_id, type=type)
        return answer

    async def create(self, path: str, body: Json, kind: str = "created") -> Json:
        """Create a run; its idempotency key makes a repeated request find the run of the first."""
        run: Json = (await self.post(path, {"idempotency_key": uuid.uuid4().hex, **body})).json()
        self.ledger.write(kind, id=run["id"])
        return run

    async def close(self) -> None:
        await self.http.aclose()
