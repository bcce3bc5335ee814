"""``/collections/views``: what clients can choose from before anything is installed: worker types and their templates.

Everything is a file of ours; nothing is fetched.
"""

from functools import cache
from importlib import resources
from typing import Any

import orjson
from starlette.responses import Response

from sempre.server.errors import NotFound
from sempre.server.responses import JSON
from sempre.server.routing import Room

__all__ = ["router", "worker_types"]

router = Room(prefix="/collections", tags=["Collections"])

# Asked for by user interfaces; we have no registry of blocks and flows to show.
_EMPTY = frozenset({"aggregate-block-metadata", "aggregate-flow-metadata", "demo-flows"})


@router.get("/views/{view}", response_model=dict[str, Any])
async def read_view_content(view: str) -> Response:
    """A view of the registry by its name."""
    if view == "aggregate-worker-metadata":
        return JSON(worker_types())
    if view in _EMPTY:
        return JSON({})
    raise NotFound(f"View {view} not found in registry")


@cache
def worker_types() -> dict[str, Any]:
    """By package and then by type: names, texts and the default ``base_job_template`` of each type of worker."""
    content: dict[str, Any] = orjson.loads(resources.files(__package__).joinpath("worker_types.json").read_bytes())
    return content
