"""Finding a request's route by the shape of its path.

The framework tries every route in turn, which with some two hundred of them is most of what a request costs. Here the
routes of all rooms stand in one list, and a request looks only at those that have its method, its number of segments
and its resource.
"""

import re
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from sempre.server.bodies import BodyRoute
from sempre.server.responses import JSON

__all__ = ["PathIndex", "Room", "add_rooms", "index_paths"]

_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")


class Room(APIRouter):
    """The routes of one resource, written down as they are declared and built once, when the app is.

    Use it as any router: ``@room.post("/filter", response_model=...)``.
    """

    def __init__(self, *, prefix: str = "", tags: list[str | Enum] | None = None) -> None:
        super().__init__(prefix=prefix, tags=tags)
        self.declared: list[tuple[str, Callable[..., Any], dict[str, Any]]] = []

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        self.declared.append((path, endpoint, options))


def add_rooms(app: FastAPI, prefix: str, rooms: Iterable[Room]) -> None:
    """Build every route of ``rooms`` under ``prefix``, in one flat list."""
    for room in rooms:
        for path, endpoint, options in room.declared:
            tags = [*room.tags, *(options.get("tags") or ())]
            identity = _identity(options.get("name") or endpoint.__name__, room.prefix + path, *options["methods"])
            app.router.add_api_route(
                prefix + room.prefix + path,
                endpoint,
                route_class_override=BodyRoute,
                **{**options, "tags": tags, "operation_id": identity},
            )


def _identity(name: str, path: str, method: str) -> str:
    """What generated clients call the operation: the same under every prefix."""
    plain = re.sub(r":\w+}", "}", path)
    return re.sub(r"\W", "_", f"{name}{plain}_{method.lower()}")


def index_paths(app: FastAPI, prefix: str) -> None:
    """Find the routes under ``prefix`` by the shape of their paths. Call it when all of them are there."""
    app.router.middleware_stack = PathIndex(app.router, prefix)


class PathIndex:
    """Serves what the index finds; everything else (redirects, 404, 405, websockets) is the router's."""

    def __init__(self, router: APIRouter, prefix: str) -> None:
        self._router = router
        self._depth = len(prefix.split("/"))  # where, among a path's segments, its resource stands
        self._routes: dict[tuple[str, int, str], list[APIRoute]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            segments = scope["path"].split("/")
            for route in self._index().get((scope["method"], len(segments), self._resource(segments)), ()):
                match, child_scope = route.matches(scope)
                if match is Match.FULL:
                    scope["router"] = self._router
                    scope.update(child_scope)
                    await route.handle(scope, receive, send)
                    return
            if allowed := self._methods(scope, segments):
                headers = {"Allow": ", ".join(allowed)}
                await JSON({"detail": "Method Not Allowed"}, 405, headers)(scope, receive, send)
                return
        await self._router.app(scope, receive, send)

    def _methods(self, scope: Scope, segments: list[str]) -> list[str]:
        """The methods under which the path is known, sorted; the router would name those of one route only."""
        return [
            method
            for method in _METHODS
            for route in self._index().get((method, len(segments), self._resource(segments)), ())
            if route.matches(scope)[0] is not Match.NONE
        ]

    def _index(self) -> dict[tuple[str, int, str], list[APIRoute]]:
        if self._routes is None:
            self._routes = {}
            for route in self._router.routes:
                if isinstance(route, APIRoute):
                    segments = route.path.split("/")
                    for method in route.methods or ():
                        key = (method, len(segments), self._resource(segments))
                        self._routes.setdefault(key, []).append(route)
        return self._routes

    def _resource(self, segments: list[str]) -> str:
        """What a path is about: ``flow_runs`` of ``/api/flow_runs/{id}``. Static in every path we have."""
        return segments[self._depth] if len(segments) > self._depth else ""
