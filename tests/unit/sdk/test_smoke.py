import asyncio

from sempre.sdk.flows import flow
from sempre.sdk.tasks import task


@task
def inc(x):
    return x + 1


@flow
def f():
    a = inc(1)
    b = inc.submit(a)
    c = inc.submit(b)
    return c.result() + sum(inc.map([1, 2, 3]).result())


def test_it(world):
    assert f() == 4 + 9
    print(world.states(), world.flow_states())


def test_async(world):
    @task
    async def ainc(x):
        return x + 1

    @flow
    async def af():
        return await ainc(1) + ainc.submit(3).result()

    assert asyncio.run(af()) == 6
