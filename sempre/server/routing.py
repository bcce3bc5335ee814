"""Finding a request's route by the shape of its path.

The framework tries every route in turn, which with some two hundred of them is most of what a request costs. Here the
routes of all rooms stand in one list, and a request looks only at those that have its method, its number of segments
and its resource.
"""

from collections.abc import Iterable

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from sempre.server.bodies import BodyRoute

__all__ = ["PathIndex", "add_rooms"]


def add_rooms(app: FastAPI, prefix: str, rooms: Iterable[APIRouter]) -> None:
    """Put every route of ``rooms`` under ``prefix``, in one flat list, and let the index find them."""
    for room in rooms:
        for route in room.routes:
            assert isinstance(route, APIRoute)
            app.router.add_api_route(
                prefix + route.path,
                route.endpoint,
                methods=list(route.methods or ()),
                response_model=route.response_model,
                status_code=route.status_code,
                tags=route.tags,
                summary=route.summary,
                description=route.description,
                deprecated=route.deprecated,
                responses=route.responses,
                response_class=route.response_class,
                include_in_schema=route.include_in_schema,
                name=route.name,
                route_class_override=BodyRoute,
            )
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
        await self._router.app(scope, receive, send)

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
