"""Liveness, readiness, versions, CSRF tokens and the server's own settings."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from sempre.schemas.responses import CsrfToken
from sempre.server.admin.csrf import issue_token
from sempre.server.errors import DatabaseUnavailable, Unprocessable
from sempre.server.responses import JSON
from sempre.server.scope import ScopeDep

__all__ = ["router"]

API_VERSION = "0.8.4"
PROTOCOL_VERSION = "3.8.8"  # the newest client release whose protocol is spoken in full

router = APIRouter(tags=["Admin"])


@router.get("/health")
async def health() -> bool:
    """Liveness: the process answers. Touches nothing."""
    return True


@router.get("/ready")
async def ready(scope: ScopeDep) -> Response:
    """Readiness: the database answers. Never Redis, never a busy service."""
    try:
        await scope.db.fetchval("SELECT 1")
    except DatabaseUnavailable:
        return JSON({"message": "Database is not available"}, 503, {"Retry-After": "1"})
    return JSON({"message": "OK"})


@router.get("/hello")
async def hello() -> str:
    return "👋"


@router.get("/version")
async def version() -> str:
    """The version of the REST API."""
    return API_VERSION


@router.get("/admin/version")
async def admin_version() -> str:
    """The release of the protocol's stock client that this server matches; clients compare it with their own."""
    return PROTOCOL_VERSION


@router.get("/csrf-token", response_model=CsrfToken)
async def csrf_token(scope: ScopeDep, client: Annotated[str, Query(description="The client to make a token for")]) -> Any:
    """A CSRF token for the client, where protection is on (422 otherwise)."""
    api = scope.settings.api
    if not api.csrf_protection_enabled:
        raise Unprocessable("CSRF protection is disabled.")
    return JSON(dict(await issue_token(scope.db, client, api.csrf_token_expiration_seconds)))
