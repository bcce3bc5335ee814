"""Rendering the templates of an action, off the event loop: what users write may take its time."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from sempre.core.hydration import KIND, HydrationError, hydrate_rendering
from sempre.core.templates import Budget, RenderError, render, render_value
from sempre.server.actions.context import context_of
from sempre.server.actions.filters import filters_for, ui_of
from sempre.server.actions.invocation import ActionFailed, Invocation

__all__ = ["rendered_parameters", "rendered_texts"]

T = TypeVar("T")

# Templates take steps that are counted, so that every thread is free again some time; nobody waits longer than this.
_LONGEST_SECONDS = 10.0
_TOO_SLOW = f"rendering takes longer than {_LONGEST_SECONDS:g} s"
_threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="template")


async def _aside(work: Callable[[], T]) -> T:
    """Raises TimeoutError."""
    async with asyncio.timeout(_LONGEST_SECONDS):
        return await asyncio.get_running_loop().run_in_executor(_threads, work)


async def rendered_texts(invocation: Invocation, texts: Mapping[str, str]) -> dict[str, str]:
    """Each text with its template filled in. Raises ActionFailed for one that cannot be rendered."""
    if not any(_is_template(text) for text in texts.values()):
        return dict(texts)
    context = await context_of(invocation, texts.values())
    filters = filters_for(ui_of(invocation.scope.settings))

    def work() -> dict[str, str]:
        budget = Budget()
        return {name: render(text, context, filters, budget) for name, text in texts.items()}

    try:
        return await _aside(work)
    except TimeoutError as error:
        raise ActionFailed(f"Template rendering failed: {_TOO_SLOW!r}", template_error=_TOO_SLOW) from error
    except RenderError as error:
        raise ActionFailed(
            f"Template rendering failed: {error.cause!r}", template_error=str(error.cause), template_source=error.source
        ) from error


async def rendered_parameters(invocation: Invocation, parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters of a run, every text in them a template and every placeholder filled in.

    A text that is one bare expression becomes its value, whatever type that has. Raises ActionFailed.
    """
    texts = list(_texts(parameters))
    if not any(_is_template(text) or text == KIND for text in texts):
        return parameters
    context = await context_of(invocation, texts if KIND not in texts else [*texts, "variables"])
    filters = filters_for(ui_of(invocation.scope.settings))

    def work() -> Any:
        budget = Budget()
        return hydrate_rendering(
            parameters, context.get("variables") or {}, lambda text: render_value(text, context, filters, budget)
        )

    try:
        value = await _aside(work)
    except TimeoutError as error:
        raise ActionFailed(f"Unable to create flow run from deployment: {_TOO_SLOW!r}") from error
    except (HydrationError, RenderError) as error:
        raise ActionFailed(f"Unable to create flow run from deployment: {error!r}") from error
    return value if isinstance(value, dict) else {}


def _is_template(text: str) -> bool:
    return "{{" in text or "{%" in text


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield key
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
