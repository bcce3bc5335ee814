"""The health endpoint tells about the loop that answers."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from sempre.sdk.serving.health import HealthPortError, answering_health


def test_health_is_what_is_said_of_it() -> None:
    async def play() -> None:
        well = True
        async with answering_health("127.0.0.1", 0, lambda: well) as port, httpx.AsyncClient() as client:
            url = f"http://127.0.0.1:{port}"
            assert (await client.get(f"{url}/health")).status_code == 200
            assert (await client.get(f"{url}/elsewhere")).status_code == 404
            assert (await client.post(f"{url}/health")).status_code == 405
            well = False
            answer = await client.get(f"{url}/health")
            assert answer.status_code == 503
            assert answer.json()["message"]
            with pytest.raises(HealthPortError, match=str(port)):
                async with answering_health("127.0.0.1", port, lambda: True):
                    pass

    asyncio.run(play())
