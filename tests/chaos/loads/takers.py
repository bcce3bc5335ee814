"""Takers of leases on one limit. Who could not renew in time holds nothing any more and knows it."""

from __future__ import annotations

import asyncio

from tests.chaos.loads.client import Client, GaveUp, Wrong
from tests.chaos.loads.shape import LEASE_SECONDS
from tests.chaos.loads.workers import pause
from tests.chaos.loads.world import LEASES

_FULL = frozenset({423})
_GONE = frozenset({410})


async def takes(client: Client, mishaps: float, stopping: asyncio.Event) -> None:
    draw, ledger = client.draw, client.ledger
    while not stopping.is_set():
        try:
            lease = await take(client)
            if lease is None:
                await pause(draw.uniform(0.5, 1.5), stopping)
                continue
            ledger.write("taken", id=lease)
            fate = draw.random() / max(mishaps, 0.01)
            if fate < 0.01:
                ledger.write("abandoned", id=lease)
                continue
            hold = draw.uniform(0.2, 1.5) if fate > 0.03 else LEASE_SECONDS * draw.uniform(1.1, 1.6)
            if not await _hold(client, lease, hold):
                ledger.write("lost", id=lease)
                continue
            ledger.write("letting_go", id=lease)
            await client.post("/v2/concurrency_limits/decrement-with-lease", {"lease_id": lease})
            ledger.write("returned", id=lease)
        except (GaveUp, Wrong):
            await pause(1.0, stopping)


async def _hold(client: Client, lease: str, seconds: float) -> bool:
    """Renew at once and then in time, as the protocol's client does; whether the lease was there to the end."""
    while True:
        body = {"lease_duration": LEASE_SECONDS}
        answer = await client.post(f"/v2/concurrency_limits/leases/{lease}/renew", body, expected=_GONE)
        if answer.status_code == 410:
            return False
        client.ledger.write("renewed", id=lease)
        step = min(seconds, LEASE_SECONDS * 0.75)
        await asyncio.sleep(step)
        seconds -= step
        if seconds <= 0:
            return True


async def take(client: Client) -> str | None:
    body = {"slots": 1, "names": [LEASES], "mode": "concurrency", "lease_duration": LEASE_SECONDS}
    answer = await client.post("/v2/concurrency_limits/increment-with-lease", body, expected=_FULL)
    return None if answer.status_code == 423 else str(answer.json()["lease_id"])
