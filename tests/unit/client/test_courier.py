"""Deliveries: order, batches, outages, refusals."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sempre.client import courier as couriers
from sempre.client.courier import Away, Courier, Load, Unacceptable
from sempre.client.journal import Journal
from sempre.client.outbox import Outbox
from sempre.settings import ClientSettings
from tests.support.wait import eventually


class Api:
    """Takes batches while it is there; refuses what is in `poison`."""

    def __init__(self) -> None:
        self.there = True
        self.poison: set[bytes] = set()
        self.taken: list[bytes] = []
        self.attempts = 0

    async def take(self, batch: list[bytes]) -> None:
        self.attempts += 1
        if not self.there:
            raise Away("nobody is there")
        if self.poison.intersection(batch):
            raise Unacceptable("422")
        self.taken += batch


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox("events", Journal.of_process(ClientSettings(home=tmp_path)))


async def finished(courier: Courier) -> None:
    async with asyncio.timeout(60):
        await courier.run(until_empty=True)


async def test_in_order_in_batches(outbox: Outbox) -> None:
    api, wanted = Api(), [b"%d" % number for number in range(1000)]
    for record in wanted:
        outbox.put(record)
    await finished(Courier(outbox, api.take, Load(300, 1 << 20, 0.0)))
    assert api.taken == wanted
    assert api.attempts == 4


async def test_an_outage_is_waited_for_on_disk(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(couriers, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(couriers, "_LONGEST_PAUSE", 0.001)
    api = Api()
    api.there = False
    outbox.put(b"1")
    outbox.put(b"2")
    running = asyncio.create_task(finished(Courier(outbox, api.take, Load(300, 1 << 20, 0.0))))
    await asyncio.to_thread(eventually, lambda: outbox.journal.holds("events"), "on disk", interval=0.005)
    outbox.put(b"3")  # goes to the end of the queue, which is on disk now
    assert outbox.size == 0
    api.there = True
    await running
    assert api.taken == [b"1", b"2", b"3"]
    outbox.put(b"4")
    assert outbox.size == 1
    outbox.journal.close()
    assert not outbox.journal.directory.exists()


async def test_what_is_never_taken_holds_up_nothing_else(outbox: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    api = Api()
    api.poison = {b"bad"}
    for record in (b"1", b"2", b"bad", b"3", b"4"):
        outbox.put(record)
    await finished(Courier(outbox, api.take, Load(300, 1 << 20, 0.0)))
    assert api.taken == [b"1", b"2", b"3", b"4"]
    assert "is dropped" in caplog.text


async def test_lingering_ends_early_for_whoever_flushes(outbox: Outbox) -> None:
    api = Api()
    courier = Courier(outbox, api.take, Load(300, 1 << 20, 3600.0))
    running = asyncio.create_task(courier.run())
    outbox.put(b"1")
    assert await courier.flush(10)
    assert api.taken == [b"1"]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_disk_that_takes_nothing_leaves_memory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "journal").write_text("a file where the directory should be")
    outbox = Outbox("events", Journal.of_process(ClientSettings(home=tmp_path)))
    outbox.put(b"1")
    outbox.write_down()
    assert outbox.take(10, 100) == [b"1"]
