"""How a request becomes the arguments of its handler.

The framework resolves parameters for every shape an API could have; that is most of what a small request costs. Ours
have few shapes: the scope, ids and names in the path, one model or several embedded parameters in the body. Where a
handler takes only those, a well-formed request goes straight to it; whatever is unusual (another content type, a query,
anything invalid) takes the framework's road, whose errors are the protocol's.

The body of a list call is one model for us, and several embedded parameters by the rules of the protocol: any of them
may be null or absent unless it is required, and so may the whole body.
"""

import contextlib
import inspect
import json
from collections.abc import Callable, Coroutine, Mapping
from typing import Any
from uuid import UUID

from fastapi._compat import ModelField
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.convertors import UUIDConvertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from sempre.schemas.lists import ListCall
from sempre.server.payloads import is_json, parse
from sempre.server.responses import JSON
from sempre.server.scope import request_scope

__all__ = ["BodyRoute"]

_Handle = Callable[[Request], Coroutine[Any, Any, Response]]


class BodyRoute(APIRoute):
    """A route of the protocol. A null for an embedded parameter is no value, and a null body has none."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if (call := _list_call(self)) and not any(field.is_required() for field in call.model_fields.values()):
            self.dependant.body_params[0].field_info.default_factory = call
        arguments = _Arguments.of(self)
        if arguments is not None:
            self.app = _Direct(arguments, self.endpoint, otherwise=self.app, status_code=self.status_code or 200)

    def get_route_handler(self) -> _Handle:
        handler = super().get_route_handler()
        if not self.dependant.body_params:
            return handler
        reading = _Asking if _list_call(self) else _Embedding if self._embed_body_fields else _Reading

        async def handle(request: Request) -> Response:
            asked = await reading.of(request)
            try:
                return await handler(asked)
            except RequestValidationError as error:
                raise await asked.refusal(error) from None

        return handle


def _list_call(route: APIRoute) -> type[ListCall] | None:
    """The model of the body, if it is a list call's."""
    models: list[Any] = [field.field_info.annotation for field in route.dependant.body_params]
    is_one = len(models) == 1 and isinstance(models[0], type) and issubclass(models[0], ListCall)
    return models[0] if is_one else None


def _given(body: Mapping[str, Any]) -> dict[str, Any]:
    """A null is an absent key, also where one is required."""
    return {key: value for key, value in body.items() if value is not None}


class _Reading(Request):
    """A request of which the framework reads JSON as we do."""

    @classmethod
    async def of(cls, request: Request) -> "_Reading":
        reading = cls(request.scope, request.receive)
        await reading.body()  # here, as the framework takes whatever comes up meanwhile for a malformed body
        return reading

    async def json(self) -> Any:
        return parse(await self.body())

    async def refusal(self, error: RequestValidationError) -> RequestValidationError:
        """The error as the client is to see it."""
        return error


class _Embedding(_Reading):
    """The same for a body of keys: the framework would hold a null against a parameter's type (spec/api 3), and take
    what is no object for one without keys."""

    @classmethod
    async def of(cls, request: Request) -> "_Reading":
        reading = await super().of(request)
        body = await reading.body()
        if body and not is_json(request.headers.get("content-type", "")):
            raise _no_object(body)
        with contextlib.suppress(json.JSONDecodeError):  # the framework meets it again and says where
            content = parse(body)
            if content is not None and not isinstance(content, dict):
                raise _no_object(content)
        return reading

    async def json(self) -> Any:
        return _given(await super().json() or {})

    async def refusal(self, error: RequestValidationError) -> RequestValidationError:
        """With the body as it was sent. What stands in the place of a missing key is nothing."""
        items = [
            {**item, "input": None} if item["type"] == "missing" and len(item["loc"]) == 2 else item
            for item in error.errors()
        ]
        body = error.body
        with contextlib.suppress(json.JSONDecodeError):
            body = parse(sent) if (sent := await Request.body(self)) else None
        return RequestValidationError(items, body=body)


class _Asking(_Embedding):
    """The same for a list call, where the framework would miss the body as a whole instead of its keys."""

    async def body(self) -> bytes:
        return await super().body() or (b"{}" if is_json(self.headers.get("content-type", "")) else b"")


def _no_object(content: Any) -> RequestValidationError:
    message = "Input should be a valid dictionary or object to extract fields from"
    return RequestValidationError(
        [{"type": "model_attributes_type", "loc": ("body",), "msg": message, "input": content}], body=content
    )


class _Arguments:
    """Makes the arguments of one handler from a well-formed request."""

    def __init__(self, route: APIRoute, scope_name: str | None) -> None:
        self._scope_name = scope_name
        self._path = tuple(field.name for field in route.dependant.path_params)
        self._headers = tuple(route.dependant.header_params)
        self._fields = tuple(route.dependant.body_params)
        self._has_keys = route._embed_body_fields or _list_call(route) is not None
        self._embedded = route._embed_body_fields

    @classmethod
    def of(cls, route: APIRoute) -> "_Arguments | None":
        """For handlers of the plain shapes only."""
        dependant = route.dependant
        if dependant.query_params or dependant.cookie_params or len(dependant.dependencies) > 1:
            return None
        scope_name = None
        for dependency in dependant.dependencies:
            if dependency.call is not request_scope:
                return None
            scope_name = dependency.name
        fields = (*dependant.path_params, *dependant.header_params, *dependant.body_params)
        if set(inspect.signature(route.endpoint).parameters) - {scope_name, *(field.name for field in fields)}:
            return None
        plain = all(_is_plain(route, field) for field in dependant.path_params)
        return cls(route, scope_name) if plain else None

    async def make(self, request: Request) -> dict[str, Any] | None:
        """The arguments, or ``None`` for a request that is not that well-formed."""
        arguments: dict[str, Any] = {}
        if self._scope_name is not None:
            arguments[self._scope_name] = await request_scope(request)
        for name in self._path:
            arguments[name] = request.path_params[name]
        for field in self._headers:
            sent = request.headers.get(field.alias)
            if sent is None:
                arguments[field.name] = field.get_default()
            elif not self._take(field, sent, arguments):
                return None
        return arguments if not self._fields or self._read(await request.body(), request, arguments) else None

    def _read(self, body: bytes, request: Request, arguments: dict[str, Any]) -> bool:
        if body and not is_json(request.headers.get("content-type", "")):
            return False
        try:
            content: Any = parse(body) if body else None
            if self._has_keys:
                content = {} if content is None else content
                if not isinstance(content, dict):
                    return False
                content = _given(content)
            if self._embedded:
                return self._read_embedded(content, arguments)
            (field,) = self._fields
            return self._take(field, content, arguments)
        except json.JSONDecodeError:
            return False

    def _read_embedded(self, content: dict[str, Any], arguments: dict[str, Any]) -> bool:
        for field in self._fields:
            if field.alias in content:
                if not self._take(field, content[field.alias], arguments):
                    return False
            elif field.field_info.is_required():
                return False
            else:
                arguments[field.name] = field.get_default()
        return True

    def _take(self, field: ModelField, value: Any, arguments: dict[str, Any]) -> bool:
        arguments[field.name], errors = field.validate(value, {}, loc=("body",))
        return not errors


def _is_plain(route: APIRoute, field: ModelField) -> bool:
    """Whether the path's own conversion is all there is to do."""
    annotation = field.field_info.annotation
    return annotation is str or (
        annotation is UUID and isinstance(route.param_convertors.get(field.alias), UUIDConvertor)
    )


class _Direct:
    """The straight road to a handler."""

    def __init__(
        self, arguments: _Arguments, endpoint: Callable[..., Any], *, otherwise: Any, status_code: int
    ) -> None:
        self._arguments = arguments
        self._endpoint = endpoint
        self._otherwise = otherwise
        self._status_code = status_code

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        arguments = await self._arguments.make(request)
        if arguments is None:
            await self._otherwise(scope, _again(request, receive), send)
            return
        answer = await self._endpoint(**arguments)
        response = answer if isinstance(answer, Response) else JSON(answer, self._status_code)
        await response(scope, receive, send)


def _again(request: Request, receive: Receive) -> Receive:
    """The body that was read, for whoever reads it next."""
    pending = [{"type": "http.request", "body": request._body, "more_body": False}] if hasattr(request, "_body") else []

    async def replay() -> Any:
        return pending.pop() if pending else await receive()

    return replay
