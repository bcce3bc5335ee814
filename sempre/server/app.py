"""The API application: what it is made of, and what starts and stops with it."""

import asyncio
import contextlib
import logging
import warnings
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import RedirectResponse
from pydantic.warnings import UnsupportedFieldAttributeWarning
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from sempre import __version__
from sempre.db.errors import DatabaseUnavailable
from sempre.schemas import limits
from sempre.server import errors
from sempre.server.admin.csrf import csrf_check
from sempre.server.blocks.rekeying import reencrypt
from sempre.server.blocks.system import register_system_blocks
from sempre.server.document import complete, relative
from sempre.server.feed.doorbell import Doorbell
from sempre.server.middleware import AuthMiddleware, BodyRulesMiddleware, CsrfMiddleware, VersionMiddleware
from sempre.server.resources import migrated, open_database
from sempre.server.responses import JSON
from sempre.server.routers import API_ROUTERS, ROOT_ROUTERS, WEBSOCKET_ROUTES
from sempre.server.routing import add_rooms, index_paths
from sempre.server.runtime import Runtime
from sempre.server.scope import Scope
from sempre.server.services import partition_keeper
from sempre.server.services.supervisor import Supervisor
from sempre.server.settings import Settings

__all__ = ["create_app"]

log = logging.getLogger("sempre.server")

# Body parameters carry an alias that means nothing outside a model; the framework silences the remark where it builds
# validators, but ours are built at first use, which keeps start-up short.
warnings.filterwarnings("ignore", category=UnsupportedFieldAttributeWarning)


class _App(FastAPI):
    """Without the layers we do not use: the framework's telemetry and its limits on bodies (ours is in middleware)."""

    def __init__(self, prefix: str, **options: Any) -> None:
        super().__init__(**options)
        self._prefix = prefix

    def openapi(self) -> dict[str, Any]:
        fresh = self.openapi_schema is None
        document = super().openapi()
        if fresh:
            complete(document, self._prefix)
        return document

    def build_middleware_stack(self) -> ASGIApp:
        handlers = dict(self.exception_handlers)
        app: ASGIApp = ExceptionMiddleware(
            AsyncExitStackMiddleware(self.router),
            handlers={kind: handler for kind, handler in handlers.items() if kind is not Exception},
        )
        for layer in reversed(self.user_middleware):
            app = layer.cls(app, *layer.args, **layer.kwargs)
        return ServerErrorMiddleware(app, handler=handlers.get(Exception))


def create_app(settings: Settings, *, services: bool) -> FastAPI:
    """The ASGI application. ``services``: run the background services in this process too (solo)."""
    prefix = settings.api.base_path
    limits.use(_limits(settings))
    app = _App(
        prefix,
        title="Sempre",
        version=__version__,
        description="The control plane's REST API.",
        lifespan=lambda app: _lifespan(app, settings, services=services),
        middleware=_middleware(settings, prefix),
        openapi_url="/openapi.json",
        docs_url="/docs",
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    errors.install(app)
    add_rooms(app, prefix, API_ROUTERS)
    add_rooms(app, "", ROOT_ROUTERS)
    index_paths(app, prefix)
    for path, endpoint in WEBSOCKET_ROUTES:
        app.router.add_websocket_route(prefix + path, endpoint)

    @app.get("/", include_in_schema=False)
    async def root() -> Response:
        return RedirectResponse("/docs")

    @app.get(f"{prefix}/docs", include_in_schema=False)
    async def docs() -> Response:
        return get_swagger_ui_html(openapi_url=f"{prefix}/openapi.json", title="Sempre")

    @app.get(f"{prefix}/redoc", include_in_schema=False)
    async def redoc() -> Response:
        return get_redoc_html(openapi_url=f"{prefix}/openapi.json", title="Sempre")

    @app.get(f"{prefix}/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return JSON(relative(app.openapi(), prefix))

    return app


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI, settings: Settings, *, services: bool) -> AsyncIterator[None]:
    db, embedded = await open_database(settings)
    doorbell = Doorbell(db)
    scope = Scope(db, settings, doorbell)
    preparation = asyncio.create_task(_prepare(scope))
    with contextlib.suppress(TimeoutError):
        # Usually done in a moment; a database that is away must not keep the API from answering 503.
        await asyncio.wait_for(asyncio.shield(preparation), timeout=10)
    doorbell.start()
    runtime = Runtime(scope)
    app.state.scope = scope
    app.state.runtime = runtime
    await runtime.start()
    supervisor = Supervisor(scope) if services else None
    if supervisor is not None:
        supervisor.start()
    try:
        yield
    finally:
        if supervisor is not None:
            await supervisor.stop()
        await runtime.stop()
        await doorbell.stop()
        preparation.cancel()
        await asyncio.gather(preparation, return_exceptions=True)
        await db.close()
        if embedded is not None:
            await asyncio.to_thread(embedded.release)


async def _prepare(scope: Scope) -> None:
    """What requests rely on: the schema, today's partitions, the built-in block types, blocks under today's key.

    Waits for the database.
    """
    await migrated(scope.db, scope.settings)
    while True:
        try:
            await partition_keeper.run(scope)
            await register_system_blocks(scope)  # if the settings ask for it
            await reencrypt(scope)
            return
        except DatabaseUnavailable as error:
            log.warning("waiting for the database to prepare it: %s", error)
            await asyncio.sleep(1)


def _limits(settings: Settings) -> limits.Limits:
    events = settings.events
    return limits.Limits(
        parameter_bytes=settings.api.max_parameter_size,
        event_bytes=events.maximum_size_bytes,
        event_name=events.maximum_event_name_length,
        labels_per_resource=events.maximum_labels_per_resource,
        related_resources=events.maximum_related_resources,
        max_scheduled_runs=settings.deployments.schedule_max_scheduled_runs,
        cache_key=settings.tasks.max_cache_key_length,
    )


def _middleware(settings: Settings, prefix: str) -> list[Middleware]:
    api = settings.api
    stack: list[Middleware] = []
    if api.csrf_protection_enabled:
        stack.append(Middleware(CsrfMiddleware, prefix=prefix, check=csrf_check))
    stack.append(
        Middleware(
            CORSMiddleware,
            allow_origins=list(api.cors_allowed_origins),
            allow_methods=list(api.cors_allowed_methods),
            allow_headers=list(api.cors_allowed_headers),
        )
    )
    if api.auth_string:
        stack.append(Middleware(AuthMiddleware, prefix=prefix, auth_string=api.auth_string))
    stack.append(Middleware(VersionMiddleware, prefix=prefix))
    stack.append(Middleware(BodyRulesMiddleware, max_size=api.max_body_size))
    stack.append(Middleware(GZipMiddleware, minimum_size=500, compresslevel=1))
    return stack
