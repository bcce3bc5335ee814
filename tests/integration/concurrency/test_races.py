"""Never more than the limit, whoever takes, gives back, dies or changes the limit at the same time."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

import pytest

from sempre.server.services import repossessor
from tests.integration.concurrency.conftest import Api
from tests.support.scopes import until

_LIVE = """
SELECT count(s.slot) FROM concurrency_limit l LEFT JOIN concurrency_slot s
    ON s.limit_id = l.id AND (s.expires_at IS NULL OR s.expires_at > clock_timestamp())
WHERE l.name = $1
"""


async def test_fifty_takers_of_five(api: Api, replica: Api) -> None:
    name = await api.limit(5)
    held = done = 0
    full = asyncio.Event()

    async def work(here: Api) -> None:
        nonlocal held, done

        async def taken() -> str | None:
            return await here.lease(name)

        lease = await until(taken, "a slot", 60)
        held += 1
        assert held <= 5
        if held == 5:
            full.set()
        await full.wait()  # the first ones: all five slots can be had at once
        await asyncio.sleep(random.uniform(0, 0.01))
        held -= 1
        await here.give_back(str(lease))
        done += 1

    async def watch() -> None:
        while done < 50:
            assert await api.scope.db.fetchval(_LIVE, name) <= 5
            await asyncio.sleep(0)

    await asyncio.gather(watch(), *(work((api, replica)[i % 2]) for i in range(50)))
    assert await api.active(name) == 0
    assert await api.scope.db.fetchval("SELECT count(*) FROM concurrency_lease WHERE holder_id IS NULL") == 0


async def test_the_last_slot_has_one_winner(api: Api, replica: Api) -> None:
    name = await api.limit(1)
    for _ in range(25):
        leases = await asyncio.gather(*((api, replica)[i % 2].lease(name) for i in range(14)))
        won = [lease for lease in leases if lease]
        assert len(won) == 1
        assert await api.renew(won[0]) == 204
        await api.give_back(won[0])


async def test_takers_of_overlapping_limits_do_not_deadlock(api: Api, replica: Api) -> None:
    names = [await api.limit(3), await api.limit(3), await api.limit(4, slot_decay_per_second=1e-9)]

    async def work(here: Api, seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(6):
            chosen = dice.sample(names, dice.randint(1, 3))
            lease = await here.lease(*chosen, slots=dice.randint(1, 2))
            if lease and dice.random() < 0.3:
                await here.expire(lease)
            elif lease:
                await here.renew(lease)
                await here.give_back(lease)
            if dice.random() < 0.2:
                await repossessor.run(here.scope)

    await asyncio.gather(*(work((api, replica)[i % 2], i) for i in range(16)))

    async def empty() -> bool:
        await repossessor.run(api.scope)
        return [await api.active(name) for name in names] == [0, 0, 0]

    await until(empty, "everything is given back or collected")


async def test_counted_slots_come_and_go_in_parallel(api: Api, replica: Api) -> None:
    name = await api.limit(4)

    async def work(here: Api) -> None:
        for _ in range(5):
            if (await here.v2("increment", names=[name], slots=2)).status_code == 200:
                assert await here.scope.db.fetchval(_LIVE, name) <= 4
                assert (await here.v2("decrement", names=[name], slots=2)).status_code == 200

    await asyncio.gather(*(work((api, replica)[i % 2]) for i in range(12)))
    assert await api.active(name) == 0


async def test_a_rate_is_never_exceeded(api: Api, replica: Api) -> None:
    name = await api.limit(7, slot_decay_per_second=1e-9)
    answers = await asyncio.gather(
        *((api, replica)[i % 2].v2("increment", names=[name], slots=1, mode="rate_limit") for i in range(30))
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [423] * 23
    assert await api.active(name) == 7


@dataclass
class Model:
    """What should be held: leases that live, and those that expired and may yet come back."""

    limit: int
    live: dict[str, int] = field(default_factory=dict)
    dead: dict[str, int] = field(default_factory=dict)

    @property
    def used(self) -> int:
        return sum(self.live.values())


@pytest.mark.parametrize("seed", range(8))
async def test_any_interleaving_keeps_the_limit(api: Api, replica: Api, seed: int) -> None:
    dice = random.Random(seed)
    model = Model(dice.randint(1, 6))
    name = await api.limit(model.limit)
    for _ in range(60):
        await _step(dice, dice.choice((api, replica)), name, model)
        assert await api.active(name) == model.used
    for lease in [*model.live, *model.dead]:
        await api.give_back(lease)
    assert await api.active(name) == 0


async def _step(dice: random.Random, api: Api, name: str, model: Model) -> None:
    before = model.used
    action = dice.choice(("take", "take", "take", "release", "expire", "renew", "revive", "collect", "limit"))
    if action == "take":
        slots = dice.randint(1, max(model.limit, 1))
        lease = await api.lease(name, slots=slots) if slots <= model.limit else None
        assert (lease is not None) == (before + slots <= model.limit and slots <= model.limit)
        if lease:
            model.live[lease] = slots
    elif action == "release" and model.live:
        lease = dice.choice(list(model.live))
        await api.give_back(lease)
        del model.live[lease]
    elif action == "expire" and model.live:
        lease = dice.choice(list(model.live))
        await api.expire(lease)
        model.dead[lease] = model.live.pop(lease)
    elif action == "renew" and model.live:
        assert await api.renew(dice.choice(list(model.live))) == 204
    elif action == "revive" and model.dead:
        lease = dice.choice(list(model.dead))
        slots = model.dead.pop(lease)
        if await api.renew(lease) == 204:
            model.live[lease] = slots
            assert model.used <= model.limit
    elif action == "collect":
        await repossessor.run(api.scope)
        for lease in model.dead:
            assert await api.renew(lease) == 410
        model.dead.clear()
    elif action == "limit":
        model.limit = dice.randint(1, 6)
        changed = await api.call("PATCH", f"/v2/concurrency_limits/{name}", {"limit": model.limit})
        assert changed.status_code == 204
