"""The two drivers: they carry out the effects of a generator in the calling thread, or in the calling loop."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import nullcontext
from contextvars import Context, copy_context
from typing import Any, TypeVar

from sempre.sdk.engine import interruptions
from sempre.sdk.engine.effects import Await, Call, Do, Effect, Emit, Hooks, Outcome, Request, Say, Sleep, Steps
from sempre.sdk.engine.timeouts import time_limit
from sempre.sdk.engine.world import World

__all__ = ["adrive", "adrive_generator", "drive", "drive_generator", "run_hook"]

T = TypeVar("T")


def drive(steps: Steps[T], world: World) -> T:
    """Run a generator to its end in the calling thread; returns what it returns, raises what it raises."""
    answer: Any = None
    error: BaseException | None = None
    while True:
        try:
            effect = steps.send(answer) if error is None else steps.throw(error)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        answer = error = None
        try:
            answer = _perform(effect, world)
        except BaseException as problem:
            error = problem


def drive_generator(steps: Steps[Any], world: World) -> Iterator[Any]:
    """As :func:`drive`, for a generator function: yields its items as they come. The end is not told.

    Between two items the caller goes on, so the run's code has a context of its own. Whoever iterates no further has
    the run complete.
    """
    context = copy_context()
    answer: Any = None
    error: BaseException | None = None
    while (effect := _next_effect(steps, context, answer, error)) is not _END:
        answer = error = None
        try:
            if isinstance(effect, Call):
                answer = yield from _items(effect, context)
            else:
                answer = context.run(_perform, effect, world)
        except GeneratorExit:  # nobody wants the next item
            answer = Outcome()
        except BaseException as problem:
            error = problem


_END = object()


def _next_effect(steps: Steps[Any], context: Context, answer: Any, error: BaseException | None) -> Any:
    """What a run that has a context of its own does next; _END if it is over."""
    try:
        return context.run(steps.send, answer) if error is None else context.run(steps.throw, error)
    except StopIteration:
        return _END


def _items(call: Call, context: Context) -> Generator[Any, None, Outcome]:
    try:
        items = iter(call.fn(*call.args, **call.kwargs))
        while True:
            try:
                item = context.run(next, items)
            except StopIteration as end:
                return Outcome(end.value)
            yield item
    except GeneratorExit:
        raise
    except BaseException as error:
        return Outcome(error=error)


async def adrive_generator(steps: Steps[Any], world: World) -> AsyncGenerator[Any, None]:
    """As :func:`drive_generator`, for an asynchronous generator function."""
    context = copy_context()
    answer: Any = None
    error: BaseException | None = None
    while (effect := _next_effect(steps, context, answer, error)) is not _END:
        answer = error = None
        try:
            if isinstance(effect, Call):
                items = context.run(effect.fn, *effect.args, **effect.kwargs)
                try:
                    while (item := await _inside(_next(items), context)) is not _END:
                        yield item
                except GeneratorExit:  # nobody wants the next item
                    await _inside(_close(items), context)
                    answer = Outcome()
                except BaseException as problem:
                    answer = Outcome(error=problem)
                else:
                    answer = Outcome()
            else:
                answer = await _inside(_aperform(effect, world), context)
        except BaseException as problem:
            error = problem


async def _next(items: AsyncGenerator[Any, None]) -> Any:
    try:
        return await anext(items)
    except StopAsyncIteration:
        return _END


async def _close(items: AsyncGenerator[Any, None]) -> None:
    await items.aclose()


async def _inside(work: Coroutine[Any, Any, T], context: Context) -> T:
    """Await in another context. Cancelled, both are."""
    return await asyncio.get_running_loop().create_task(work, context=context)


async def adrive(steps: Steps[T], world: World) -> T:
    """Run a generator to its end in the calling loop."""
    answer: Any = None
    error: BaseException | None = None
    while True:
        try:
            effect = steps.send(answer) if error is None else steps.throw(error)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        answer = error = None
        try:
            answer = await _aperform(effect, world)
        except BaseException as problem:
            error = problem


def _perform(effect: Effect, world: World) -> Any:
    if isinstance(effect, Emit):
        return world.emit(effect.event)
    if isinstance(effect, Say):
        return effect.logger.log(effect.level, effect.message, exc_info=effect.error)
    if isinstance(effect, Call):
        return _call(effect)
    if isinstance(effect, Request):
        return world.ask(effect)
    if isinstance(effect, Do):
        return effect.fn(*effect.args)
    if isinstance(effect, Sleep):
        around = interruptions.current.get()
        return time.sleep(effect.seconds) if around is None else around.sleep(effect.seconds)
    if isinstance(effect, Hooks):
        for hook in effect.hooks:
            run_hook(hook, effect.args, effect.logger)
        return None
    return _await(effect)


def _await(effect: Effect) -> None:
    if not isinstance(effect, Await):
        raise TypeError(f"no driver knows what {effect!r} is")
    for future in effect.futures:
        future.wait()


def _call(call: Call) -> Outcome:
    around = interruptions.current.get()
    try:
        if around is None:
            return _limited(call)
        with around.thread():
            return _limited(call)
    except BaseException as error:
        return Outcome(error=error)


def _limited(call: Call) -> Outcome:
    if call.seconds is None:
        value = call.fn(*call.args, **call.kwargs)
        return Outcome(list(value) if call.generates else value)
    with time_limit(call.seconds, call.timeout):
        value = call.fn(*call.args, **call.kwargs)
        return Outcome(list(value) if call.generates else value)


async def _aperform(effect: Effect, world: World) -> Any:
    if isinstance(effect, Emit):
        return world.emit(effect.event)
    if isinstance(effect, Say):
        return effect.logger.log(effect.level, effect.message, exc_info=effect.error)
    if isinstance(effect, Call):
        return await _acall(effect)
    if isinstance(effect, Request):
        return await world.aask(effect)
    if isinstance(effect, Do):
        return await asyncio.to_thread(effect.fn, *effect.args)
    if isinstance(effect, Sleep):
        return await asyncio.sleep(effect.seconds)
    if isinstance(effect, Hooks):
        for hook in effect.hooks:
            await _arun_hook(hook, effect.args, effect.logger)
        return None
    if isinstance(effect, Await):
        for future in effect.futures:
            await future.wait_async()
        return None
    return _await(effect)


async def _acall(call: Call) -> Outcome:
    limit = asyncio.timeout(call.seconds)
    around = interruptions.current.get()
    try:
        async with limit:
            with nullcontext() if around is None else around.coroutine():
                value = call.fn(*call.args, **call.kwargs)
                if call.generates and hasattr(value, "__aiter__"):
                    return Outcome([item async for item in value])
                return Outcome(await value if inspect.isawaitable(value) else value)
    except TimeoutError as error:
        if limit.expired():
            return Outcome(error=call.timeout(f"It took longer than {call.seconds} second(s)."))
        return Outcome(error=error)
    except BaseException as error:
        return Outcome(error=error)


def run_hook(hook: Callable[..., Any], args: tuple[Any, ...], logger: Any) -> None:
    """Call one hook, a coroutine function too; what it raises is logged, not passed on."""
    name = hook_name(hook)
    try:
        result = hook(*args)
        if inspect.isawaitable(result):
            _finish(result)
    except Exception:
        logger.exception(f"The hook {name!r} failed")
    else:
        logger.info(f"The hook {name!r} has run")


async def _arun_hook(hook: Callable[..., Any], args: tuple[Any, ...], logger: Any) -> None:
    name = hook_name(hook)
    try:
        result = hook(*args)
        if inspect.isawaitable(result):
            await result
    except Exception:
        logger.exception(f"The hook {name!r} failed")
    else:
        logger.info(f"The hook {name!r} has run")


def hook_name(hook: Callable[..., Any]) -> str:
    return getattr(hook, "__name__", None) or getattr(getattr(hook, "func", None), "__name__", None) or repr(hook)


def _finish(awaitable: Awaitable[Any]) -> None:
    async def wait() -> Any:
        return await awaitable

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(wait())
        return
    # A loop runs in this very thread and cannot be entered again.
    from threading import Thread

    problems: list[BaseException] = []

    def in_thread() -> None:
        try:
            asyncio.run(wait())
        except BaseException as error:
            problems.append(error)

    thread = Thread(target=in_thread, name="sempre-hook")
    thread.start()
    thread.join()
    if problems:
        raise problems[0]
