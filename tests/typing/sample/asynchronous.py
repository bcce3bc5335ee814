"""The same for coroutines."""

from __future__ import annotations

import asyncio
from typing import assert_type

from sempre import State, flow, get_client, task
from sempre.concurrency.asyncio import concurrency, rate_limit
from sempre.futures import PrefectFuture, PrefectFutureList


@task(retries=1)
async def fetch(url: str, timeout: float = 5) -> bytes:
    await asyncio.sleep(0)
    return url.encode()


@task
def count(content: bytes) -> int:
    return len(content)


@flow
async def crawl(urls: list[str]) -> int:
    content = await fetch(urls[0])
    assert_type(content, bytes)
    state = await fetch(urls[0], return_state=True)
    assert_type(state, State[bytes])
    assert_type(await state.aresult(), bytes)
    gathered = await asyncio.gather(*(fetch(url) for url in urls))
    assert_type(gathered, list[bytes])
    future = fetch.submit(urls[0], timeout=1)
    assert_type(future, PrefectFuture[bytes])
    assert_type(await future.result_async(), bytes)
    assert_type(fetch.map(urls), PrefectFutureList[bytes])
    assert_type(count.map(fetch.map(urls)).result(), list[int])
    async with concurrency("crawler", occupy=1, timeout_seconds=10):
        await rate_limit("site")
    return count(content)


@flow(timeout_seconds=60)
async def parent() -> int:
    number = await crawl(["https://example.com"])
    assert_type(number, int)
    state = await crawl([], return_state=True)
    assert_type(state, State[int])
    return number


async def runs_of(name: str) -> list[str]:
    async with get_client() as client:
        found = await client.read_flow_runs(flow_filter={"name": {"any_": [name]}}, limit=10)
        deployment = await client.read_deployment_by_name("crawl/nightly")
        run = await client.create_flow_run_from_deployment(deployment.id, parameters={"urls": []})
    return [one.name for one in [*found, run]]


def main() -> None:
    assert_type(asyncio.run(parent()), int)
    with get_client(sync_client=True) as client:
        run = client.read_flow_run("0190a3f0-0000-7000-8000-000000000000")
        if run.state is not None and run.state.is_completed():
            print(run.name, client.read_flow_run_states(run.id)[-1].name)
