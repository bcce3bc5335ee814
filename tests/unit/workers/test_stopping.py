"""Signals of players: what they mean while one is at work, and afterwards."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from sempre.sdk.serving import stopping

NUMBERS = (signal.SIGTERM, signal.SIGINT)


@pytest.mark.parametrize("last", [False, True])
async def test_the_first_stops_the_second_kills(monkeypatch: pytest.MonkeyPatch, last: bool) -> None:
    monkeypatch.setattr(stopping, "_ONE_REQUEST_SECONDS", 0.0)
    before = {number: signal.getsignal(number) for number in NUMBERS}
    stopped, killed = asyncio.Event(), asyncio.Event()
    try:
        with stopping.heeding_signals(stopped.set, killed.set, last=last):
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(stopped.wait(), 60)
            assert not killed.is_set()
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.wait_for(killed.wait(), 60)
        ignored = dict.fromkeys(NUMBERS, signal.SIG_IGN)
        assert {number: signal.getsignal(number) for number in NUMBERS} == (ignored if last else before)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def test_what_comes_in_one_moment_is_one_request() -> None:
    stopped, killed = asyncio.Event(), asyncio.Event()
    with stopping.heeding_signals(stopped.set, killed.set):
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(stopped.wait(), 60)
        os.kill(os.getpid(), signal.SIGTERM)
        handled = asyncio.Event()
        asyncio.get_running_loop().call_soon(handled.set)  # behind what the signal has called for
        await asyncio.wait_for(handled.wait(), 60)
    assert not killed.is_set()
