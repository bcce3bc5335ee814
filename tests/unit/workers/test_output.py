"""Copying what runs print, beside the watching of them."""

from __future__ import annotations

import asyncio

import pytest

from sempre.workers import output
from sempre.workers.output import copied


async def test_what_is_printed_last_arrives() -> None:
    printed: list[str] = []
    ended = asyncio.Event()

    async def copying() -> None:
        await ended.wait()
        printed.append("last")

    async with copied(copying()):
        ended.set()
    assert printed == ["last"]
    async with copied(None):
        pass


@pytest.mark.parametrize("fails", [False, True])
async def test_copying_ends_with_the_watching(monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    monkeypatch.setattr(output, "LAST_LINES_SECONDS", 0.0)
    begun = asyncio.Event()
    seen: list[str] = []

    async def endless() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("ended")

    async def watch() -> None:
        async with copied(endless()):
            await begun.wait()
            if fails:
                raise RuntimeError("watching failed")

    if fails:
        with pytest.raises(RuntimeError, match="watching failed"):
            await watch()
    else:
        await watch()
    assert seen == ["ended"]


async def test_copying_that_fails_is_told_and_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def failing() -> None:
        raise ValueError("no such stream")

    async with copied(failing()):
        pass
    assert "could not be copied" in caplog.text
