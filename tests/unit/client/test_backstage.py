"""The loop behind the scenes: from threads, loops and forks, to its end."""

from __future__ import annotations

import asyncio
import contextvars
import os
import subprocess
import sys
import threading

import pytest

from sempre.client import backstage

WHO: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")


async def where() -> tuple[str, str]:
    await asyncio.sleep(0)
    return threading.current_thread().name, WHO.get()


def test_run_sees_the_callers_context() -> None:
    token = WHO.set("me")
    try:
        assert backstage.run(where()) == ("sempre-backstage", "me")
    finally:
        WHO.reset(token)


async def test_arun_and_run_inside_a_running_loop() -> None:
    assert (await backstage.arun(where()))[0] == "sempre-backstage"
    assert backstage.run(where())[0] == "sempre-backstage"


async def test_cancelling_the_caller_cancels_the_work() -> None:
    begun, ended = threading.Event(), threading.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    waiting = asyncio.create_task(backstage.arun(work()))
    assert await asyncio.to_thread(begun.wait, 60)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended.wait(60)


def test_it_does_not_wait_for_itself() -> None:
    async def inside() -> None:
        assert (await backstage.arun(where()))[0] == "sempre-backstage"
        backstage.run(where())

    with pytest.raises(RuntimeError, match="wait for itself"):
        backstage.run(inside())


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_fork_has_a_stage_of_its_own() -> None:
    code = """
import os
from sempre.client import backstage
async def pid(): return os.getpid()
assert backstage.run(pid()) == os.getpid()
child = os.fork()
if not child:
    ok = backstage.run(pid(), timeout=20) == os.getpid()
    os._exit(0 if ok else 1)
assert os.waitpid(child, 0)[1] == 0
assert backstage.run(pid()) == os.getpid()
print("fine")
"""
    assert python(code) == "fine\n"


def test_the_end_flushes_but_not_for_ever() -> None:
    code = """
import asyncio, time
from sempre.client import backstage
backstage.EXIT_SECONDS = 10
async def quick(seconds): print("flushed", flush=True)
async def slow(seconds): await asyncio.sleep(3600)
backstage.at_exit(quick)
backstage.at_exit(slow)
backstage.close(0.2)
"""
    assert python(code) == "flushed\n"


def test_what_the_end_cancels_cleans_up_in_the_loop_that_it_was_in() -> None:
    begun, same = threading.Event(), []

    async def loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            same.append(await backstage.arun(loop()) is asyncio.get_running_loop())

    waiting = backstage.spawn(work())
    assert begun.wait(60)
    backstage.close(5)
    assert same == [True]
    assert waiting.cancelled()


def test_the_last_flush_can_still_look_up_a_host() -> None:
    code = """
import asyncio
from sempre.client import backstage
async def flush(seconds):
    found = await asyncio.get_running_loop().getaddrinfo("localhost", 1)
    print("found" if found else "nothing", flush=True)
backstage.at_exit(flush)
"""
    assert python(code) == "found\n"


def test_light_imports() -> None:
    heavy = ("pydantic", "httpx", "websockets", "orjson", "sempre.client", "sempre.server")
    code = f"""
import sys
import sempre, sempre.settings
sempre.settings.get_current_settings()
print([name for name in {heavy!r} if name in sys.modules])
import sempre.client
print([name for name in ("fastapi", "asyncpg", "sqlalchemy", "rich", "typer", "jinja2") if name in sys.modules])
print([name for name in sys.modules if name.startswith(("sempre.server", "sempre.db"))])
"""
    assert python(code) == "[]\n[]\n[]\n"
