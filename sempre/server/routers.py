"""Every room of the API, in the order requests are matched: the busiest first."""

from typing import Any

from fastapi import APIRouter

from sempre.server.admin.routes import router as admin
from sempre.server.flow_runs.routes import router as flow_runs
from sempre.server.flows.routes import router as flows

__all__ = ["API_ROUTERS", "WEBSOCKET_ROUTES"]

API_ROUTERS: list[APIRouter] = [
    flow_runs,
    flows,
    admin,
]

# Path under the API's prefix, and the ASGI endpoint that serves it.
WEBSOCKET_ROUTES: list[tuple[str, Any]] = []
