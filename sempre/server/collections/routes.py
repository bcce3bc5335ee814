"""``/collections/views``: what clients can choose from before anything is installed: types of workers and of blocks.

Everything is a file of ours; nothing is fetched.
"""

from functools import cache
from importlib import resources
from typing import Any

import orjson
from starlette.responses import Response

from sempre.server.blocks.integration_types import integration_types
from sempre.server.errors import NotFound
from sempre.server.responses import JSON
from sempre.server.routing import Room

__all__ = ["router", "worker_types"]

router = Room(prefix="/collections", tags=["Collections"])

# We have no flows to show.
_EMPTY = frozenset({"aggregate-flow-metadata", "demo-flows"})


@router.get("/views/{view}", response_model=dict[str, Any])
async def read_view_content(view: str) -> Response:
    """A view of the registry by its name."""
    if view == "aggregate-worker-metadata":
        return JSON(worker_types())
    if view == "aggregate-block-metadata":
        return JSON(_block_types())
    if view in _EMPTY:
        return JSON({})
    raise NotFound(f"View {view} not found in registry")


@cache
def _block_types() -> dict[str, Any]:
    """By package: the types of blocks that come with it, each with its schema."""
    found: dict[str, Any] = {}
    for type in integration_types():
        found.setdefault(type.package, {"block_types": {}})["block_types"][type.slug] = type.metadata()
    return found


@cache
def worker_types() -> dict[str, Any]:
    """By package and then by type: names, texts and the default ``base_job_template`` of each type of worker."""
    content: dict[str, Any] = orjson.loads(resources.files(__package__).joinpath("worker_types.json").read_bytes())
    return content
