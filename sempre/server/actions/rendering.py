"""Rendering the templates of an action, off the event loop: what users write may take its time."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

from sempre.core.hydration import KIND, HydrationError, hydrate_rendering
from sempre.core.templates import RenderError, render, render_value
from sempre.server.actions.context import context_of
from sempre.server.actions.filters import filters_for, ui_of
from sempre.server.actions.invocation import ActionFailed, Invocation

__all__ = ["rendered_parameters", "rendered_texts"]


async def rendered_texts(invocation: Invocation, texts: Mapping[str, str]) -> dict[str, str]:
    """Each text with its template filled in. Raises ActionFailed for one that cannot be rendered."""
    if not any(_is_template(text) for text in texts.values()):
        return dict(texts)
    context = await context_of(invocation, texts.values())
    filters = filters_for(ui_of(invocation.scope.settings))

    def work() -> dict[str, str]:
        return {name: render(text, context, filters) for name, text in texts.items()}

    try:
        return await asyncio.to_thread(work)
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
        return hydrate_rendering(
            parameters, context.get("variables") or {}, lambda text: render_value(text, context, filters)
        )

    try:
        value = await asyncio.to_thread(work)
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
