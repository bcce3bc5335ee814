"""``/ui-settings``, outside the API and open to everybody: what a UI must know before its first call."""

from fastapi import Request
from starlette.responses import Response

from sempre.server.responses import JSON
from sempre.server.routing import Room
from sempre.server.scope import Scope

__all__ = ["router"]

router = Room()


@router.get("/ui-settings", include_in_schema=False)
async def ui_settings(request: Request) -> Response:
    """Where the API is and how to speak to it. Answers whether or not this server serves a UI itself."""
    scope: Scope = request.app.state.scope
    api, ui = scope.settings.api, scope.settings.ui
    origin = str(request.base_url).rstrip("/")
    base = ui.serve_base.rstrip("/")
    return JSON(
        {
            "api_url": ui.api_url or f"{origin}{api.base_path}",
            "csrf_enabled": api.csrf_protection_enabled,
            "auth": "BASIC" if api.auth_string else None,
            "flags": [],
            "default_ui": "v1",
            "available_uis": ["v1"] if ui.enabled else [],
            "v1_base_url": base or "/",
            "v2_base_url": None,
        }
    )
