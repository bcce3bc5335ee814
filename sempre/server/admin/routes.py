"""Liveness, readiness, versions, CSRF tokens and the server's own settings."""

from enum import Enum
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request
from starlette.responses import Response

from sempre.schemas.responses import CsrfToken, ServerDefaultResultStorage, ServerDefaultResultStorageUpdate
from sempre.server.admin import storage
from sempre.server.admin.csrf import issue_token
from sempre.server.admin.effective import effective_settings
from sempre.server.admin.reachable import is_reachable
from sempre.server.admin.versions import API_VERSION, PROTOCOL_VERSION
from sempre.server.errors import RETRY_AFTER_SECONDS, NotFound, Unprocessable
from sempre.server.metrics.page import CONTENT_TYPE, Page
from sempre.server.responses import JSON, no_content
from sempre.server.routing import Room
from sempre.server.schema import DATABASE_AWAY, schema_of
from sempre.server.scope import ScopeDep

__all__ = ["router"]

router = Room()

_ROOT: list[str | Enum] = ["Root"]
_ADMIN: list[str | Enum] = ["Admin"]


@router.get("/health", tags=_ROOT)
async def health() -> bool:
    """Liveness: the process answers. Touches nothing."""
    return True


@router.get("/ready", tags=_ROOT)
async def ready(request: Request, scope: ScopeDep) -> Response:
    """Readiness: no stop is under way, the database answers and has the schema. Never Redis, never a busy service."""
    schema = schema_of(request.app.state)
    if getattr(request.app.state, "draining", False):
        problem = "The server is shutting down"
    elif schema is not None and schema.problem is not None:
        problem = schema.problem
    elif scope.db.away_seconds is not None or not await is_reachable(scope.db):
        problem = DATABASE_AWAY
    else:
        return JSON({"message": "OK"})
    return JSON({"message": problem}, 503, {"Retry-After": str(RETRY_AFTER_SECONDS)})


@router.get("/metrics", tags=_ROOT, include_in_schema=False)
async def metrics(request: Request) -> Response:
    """What this process tells a monitoring system, in the text format of Prometheus; 404 unless the settings ask."""
    page: Page | None = getattr(request.app.state, "metrics", None)
    if page is None:
        raise NotFound("Not Found")
    return Response(await page.text(), media_type=CONTENT_TYPE)


@router.get("/hello", tags=_ROOT)
async def hello() -> str:
    return "👋"


@router.get("/version", tags=_ROOT)
async def version() -> str:
    """The version of the REST API."""
    return API_VERSION


@router.get("/admin/version", tags=_ADMIN)
async def admin_version() -> str:
    """The release of the protocol's stock client that this server matches; clients compare it with their own."""
    return PROTOCOL_VERSION


@router.get("/admin/settings", tags=_ADMIN)
async def read_settings(scope: ScopeDep) -> Response:
    """The settings in effect: secrets masked, spans of time as ISO 8601 durations."""
    return JSON(effective_settings(scope.settings))


@router.get("/admin/storage", response_model=ServerDefaultResultStorage, tags=_ADMIN)
async def read_default_storage(scope: ScopeDep) -> Response:
    """The block that keeps results where a flow names none; null where there is none."""
    return _storage(await storage.default_storage(scope.db, scope.workspace_id))


@router.put("/admin/storage", response_model=ServerDefaultResultStorage, tags=_ADMIN)
async def update_default_storage(scope: ScopeDep, configuration: ServerDefaultResultStorageUpdate) -> Response:
    """Set that block; it must be one that can be written to."""
    id = configuration.default_result_storage_block_id
    found = await storage.document_capabilities(scope.db, scope.workspace_id, id)
    if found is None:
        raise NotFound(f"Block document {id} not found.")
    if "write-path" not in found["capabilities"]:
        raise Unprocessable(f"Block document {id} cannot be used for result storage.")
    await storage.set_default_storage(scope.db, scope.workspace_id, id)
    return _storage(id)


@router.delete("/admin/storage", status_code=204, tags=_ADMIN)
async def clear_default_storage(scope: ScopeDep) -> Response:
    await storage.clear_default_storage(scope.db, scope.workspace_id)
    return no_content()


def _storage(id: UUID | None) -> Response:
    return JSON({"default_result_storage_block_id": id})


@router.get("/csrf-token", response_model=CsrfToken)
async def csrf_token(
    scope: ScopeDep, client: Annotated[str, Query(description="The client to make a token for")]
) -> Any:
    """A CSRF token for the client, where protection is on (422 otherwise)."""
    api = scope.settings.api
    if not api.csrf_protection_enabled:
        raise Unprocessable("CSRF protection is disabled.")
    return JSON(dict(await issue_token(scope.db, client, api.csrf_token_expiration_seconds)))
