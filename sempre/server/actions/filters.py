"""Filters that templates of automations have beside the built-in ones."""

import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any
from urllib.parse import quote

import humanize

from sempre.core.automation_views import EventView, ObjectView, ResourceView
from sempre.server.settings import Settings

__all__ = ["filters_for", "ui_of"]

_HUMANIZE = (
    "apnumber",
    "clamp",
    "decimal",
    "fractional",
    "intcomma",
    "intword",
    "metric",
    "naturaldate",
    "naturalday",
    "naturaldelta",
    "naturalsize",
    "naturaltime",
    "ordinal",
    "precisedelta",
    "scientific",
)
_FLOW_RUN = re.compile(r"flow-run/([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})")


def ui_of(settings: Settings) -> str:
    """The address of the web UI in links that are sent to people."""
    return (settings.ui.url or f"http://{settings.api.host}:{settings.api.port}").rstrip("/")


@cache
def filters_for(ui: str) -> Mapping[str, Callable[..., Any]]:
    """The filters, for a web UI at the address ``ui``."""
    return {
        "ui_url": partial(_ui_url, ui),
        "ui_resource_events_url": partial(_events_url, ui),
        "flow_run_id": _flow_run_id,
        **{f"humanize_{name}": getattr(humanize, name) for name in _HUMANIZE if hasattr(humanize, name)},
    }


def _ui_url(ui: str, thing: Any) -> str | None:
    """Where people look at an event or an object."""
    if isinstance(thing, EventView):
        return thing.at(ui)
    return thing.url(ui) if isinstance(thing, ObjectView) else None


def _events_url(ui: str, thing: Any) -> str | None:
    """Where people look at the events about an object, a resource, or the resource of an event."""
    resource = thing["resource"] if isinstance(thing, EventView) else thing
    if isinstance(resource, ResourceView):
        id = resource.id
    elif isinstance(resource, ObjectView):
        id = resource.resource_id
    else:
        id = resource if isinstance(resource, str) else None
    return None if id is None else f"{ui}/events?resource={quote(id)}"


def _flow_run_id(text: Any) -> str | None:
    """The id of the flow run in an address."""
    match = _FLOW_RUN.search(str(text))
    return None if match is None else match[1]
