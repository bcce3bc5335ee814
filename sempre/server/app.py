"""The API application: what it is made of, and what starts and stops with it."""

import asyncio
import contextlib
import logging
import os
import signal
import warnings
from asyncio import FIRST_COMPLETED
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
from sempre.server.availability import AvailabilityMiddleware
from sempre.server.blocks.rekeying import reencrypt
from sempre.server.blocks.system import register_system_blocks
from sempre.server.deadline import DeadlineMiddleware
from sempre.server.document import complete, relative
from sempre.server.feed.websockets import open_websockets
from sempre.server.metrics.page import ApiProcess, Page
from sempre.server.metrics.requests import MetricsMiddleware, Requests
from sempre.server.middleware import (
    AuthMiddleware,
    BodyRulesMiddleware,
    CrowdMiddleware,
    CsrfMiddleware,
    VersionMiddleware,
)
from sempre.server.resources import open_resources
from sempre.server.responses import JSON
from sempre.server.routers import API_ROUTERS, ROOT_ROUTERS, WEBSOCKET_ROUTES
from sempre.server.routing import add_rooms, index_paths
from sempre.server.runtime import Runtime
from sempre.server.schema import Schema
from sempre.server.scope import Scope
from sempre.server.services import partition_keeper
from sempre.server.services.supervisor import Supervisor
from sempre.server.settings import Settings, load_settings

__all__ = ["create_app", "from_environment"]

log = logging.getLogger("sempre.server")

_LAST_WORDS_SECONDS = 4.5

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
        app = ServerErrorMiddleware(app, handler=handlers.get(Exception))
        return AvailabilityMiddleware(app, prefix=self._prefix)


def create_app(settings: Settings, *, services: bool) -> FastAPI:
    """The ASGI application. ``services``: run the background services in this process too (solo)."""
    prefix = settings.api.base_path
    limits.use(_limits(settings))
    requests = Requests() if settings.metrics_enabled else None
    app = _App(
        prefix,
        title="Sempre",
        version=__version__,
        description="The control plane's REST API.",
        lifespan=lambda app: _lifespan(app, settings, requests, services=services),
        middleware=_middleware(settings, prefix, requests),
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


def from_environment() -> FastAPI:
    """The application as the environment and the profile set it up, for another ASGI server than ours.

    ``uvicorn --factory sempre.server.app:from_environment``. Each process runs the background services unless
    ``SEMPRE_SERVER_WEBSERVER_ONLY`` (or ``PREFECT__SERVER_WEBSERVER_ONLY``) says not to. Two things are our own
    server's (``sempre server start``): it hears the stop signal, so that /ready says 503 while it drains, and it
    confirms events of a websocket when they are durable (``feed/websocket_protocol.py``), not when they came in.
    """
    settings = load_settings()
    return create_app(settings, services=not settings.webserver_only)


@contextlib.asynccontextmanager
async def _lifespan(
    app: FastAPI, settings: Settings, requests: Requests | None, *, services: bool
) -> AsyncIterator[None]:
    schema = Schema()
    stop_begun = asyncio.Event()
    app.state.schema, app.state.stop_begun = schema, stop_begun  # the event is set by whoever hears the first signal
    async with open_resources(settings) as scope:
        app.state.scope = scope
        app.state.runtime = runtime = Runtime(scope)
        supervisor = Supervisor(scope, on_failure=lambda failure: _give_up(app, failure)) if services else None
        if requests is not None:
            api = ApiProcess(requests, runtime.events, open_websockets(app.state))
            app.state.metrics = Page(scope, supervisor, api)
        beginning = asyncio.create_task(_begin(scope, schema, runtime, supervisor))
        beginning.add_done_callback(_report)
        # What takes time, or has to wait for somebody else, must not keep the API from saying so.
        stalled = asyncio.create_task(schema.stalled())
        await asyncio.wait({beginning, stalled}, timeout=10, return_when=FIRST_COMPLETED)
        stalled.cancel()
        if beginning.done():
            beginning.result()
        ending = asyncio.create_task(_end_services(stop_begun, beginning, supervisor))
        try:
            yield
        finally:
            stop_begun.set()
            await ending
            await _last_words(runtime)


async def _begin(scope: Scope, schema: Schema, runtime: Runtime, supervisor: Supervisor | None) -> None:
    """Everything that works on the database, once its schema is there."""
    await schema.prepare(scope.db, scope.settings)
    await runtime.start()
    await _prepare(scope)
    if supervisor is not None:
        supervisor.start()


async def _end_services(
    stop_begun: asyncio.Event, beginning: "asyncio.Task[None]", supervisor: Supervisor | None
) -> None:
    """With the first signal, while requests are still served: others take the services over at once."""
    await stop_begun.wait()
    beginning.cancel()
    await asyncio.gather(beginning, return_exceptions=True)
    if supervisor is not None:
        await supervisor.stop()


async def _last_words(runtime: Runtime) -> None:
    """Write what was taken in. A database that hangs must not turn an orderly end into a forced one."""
    try:
        async with asyncio.timeout(_LAST_WORDS_SECONDS):
            await runtime.stop()
    except TimeoutError:
        log.warning("the database did not take everything in time; whoever sent it was told nothing")


def _report(beginning: "asyncio.Task[None]") -> None:
    if not beginning.cancelled() and (error := beginning.exception()) is not None:
        log.critical("this server cannot work: %s", error)


def _give_up(app: FastAPI, failure: Exception) -> None:
    """A service that keeps dying ends the process, with an exit code that has it started again."""
    log.critical("ending this process: %s", failure)
    app.state.failed = True
    os.kill(os.getpid(), signal.SIGTERM)


async def _prepare(scope: Scope) -> None:
    """What requests rely on beside the schema: today's partitions, the built-in block types, blocks under today's key.

    Waits for the database.
    """
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


def _middleware(settings: Settings, prefix: str, requests: Requests | None) -> list[Middleware]:
    api = settings.api
    stack: list[Middleware] = []
    if requests is not None:
        stack.append(Middleware(MetricsMiddleware, requests=requests))
    if api.max_concurrent_requests:
        stack.append(Middleware(CrowdMiddleware, prefix=prefix, most=api.max_concurrent_requests))
    if api.request_deadline_seconds:
        stack.append(Middleware(DeadlineMiddleware, seconds=api.request_deadline_seconds))
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
