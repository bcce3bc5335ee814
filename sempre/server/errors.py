"""Errors of the API and their bodies: the only place where an exception becomes a response.

The protocol has two shapes of message (``detail`` from handlers, ``exception_message`` from below them) and clients
compare some of the texts; where one is fixed it is written at the place that raises.
"""

import logging
from typing import Any

import asyncpg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from sempre.db.errors import DatabaseUnavailable
from sempre.server.responses import JSON
from sempre.server.schema import schema_of
from sempre.server.scope import Scope

__all__ = [
    "INTEGRITY",
    "MAINTENANCE",
    "RETRY_AFTER_SECONDS",
    "BadRequest",
    "Conflict",
    "Forbidden",
    "Gone",
    "Locked",
    "NotFound",
    "ObjectNotFound",
    "ServiceError",
    "Unprocessable",
    "install",
    "invalid_request",
    "unavailable",
]

log = logging.getLogger("sempre.server")

RETRY_AFTER_SECONDS = 1
# Clients that read this ask again for ever.
MAINTENANCE = {"Prefect-Maintenance": "true"}

INTEGRITY = (
    "Data integrity conflict. This usually means a unique or foreign key constraint was violated. "
    "See server logs for details."
)


class ServiceError(Exception):
    """An answer other than success, raised from anywhere below a route. ``detail`` is what the caller reads."""

    status_code = 500

    def __init__(self, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = headers

    def body(self) -> dict[str, Any]:
        return {"detail": self.detail}


class BadRequest(ServiceError):
    status_code = 400


class Forbidden(ServiceError):
    status_code = 403


class NotFound(ServiceError):
    """404 in the shape of a handler: ``{"detail": ...}``."""

    status_code = 404


class ObjectNotFound(ServiceError):
    """404 in the shape of the layer below: ``{"exception_message": ...}``."""

    status_code = 404

    def body(self) -> dict[str, Any]:
        return {"exception_message": self.detail}


class Conflict(ServiceError):
    status_code = 409


class Gone(ServiceError):
    status_code = 410


class Unprocessable(ServiceError):
    status_code = 422


class Locked(ServiceError):
    """423: no slot is free. Clients need ``Retry-After`` (seconds, a float) to wait for one."""

    status_code = 423


def invalid_request(errors: list[dict[str, Any]], body: Any) -> Response:
    """422 in the shape of schema validation."""
    message = "Invalid request received."
    try:
        return JSON({"exception_message": message, "exception_detail": errors, "request_body": body}, 422)
    except TypeError:  # what was sent cannot be sent back
        named = [{**item, "input": None} for item in errors]
        return JSON({"exception_message": message, "exception_detail": named, "request_body": None}, 422)


def unavailable(state: Any, message: str = "Service Unavailable") -> Response:
    """503: clients of the protocol wait ``Retry-After`` seconds and send the same again, six times at most.

    With ``Prefect-Maintenance`` they do not count. Six seconds are too few for a Postgres that restarts or fails over,
    so they are told that while it is known to be away, for as long as the settings let them wait.
    """
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    scope: Scope | None = getattr(state, "scope", None)
    if scope is not None:
        away = _away_seconds(state, scope)
        if away is not None and away <= scope.settings.api.outage_patience_seconds:
            headers |= MAINTENANCE
    return JSON({"exception_message": message}, 503, headers)


def _away_seconds(state: Any, scope: Scope) -> float | None:
    """For how long the database has answered nothing, be it that it has not been seen since the start."""
    schema = schema_of(state)
    return schema.unseen_seconds if schema is not None and schema.problem is not None else scope.db.failing_seconds


async def _service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    return JSON(error.body(), error.status_code, error.headers)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSON({"detail": error.detail}, error.status_code, error.headers)


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return invalid_request([_plain(item) for item in error.errors()], error.body)


def _plain(item: dict[str, Any]) -> dict[str, Any]:
    """Without what cannot be sent (exception objects) and without the validator's own links."""
    plain = {key: value for key, value in item.items() if key != "url"}
    if "ctx" in plain:
        plain["ctx"] = {k: {} if isinstance(v, Exception) else v for k, v in plain["ctx"].items()}
    return plain


async def _integrity_error(request: Request, error: Exception) -> Response:
    log.warning("integrity conflict on %s %s: %s", request.method, request.url.path, error)
    return JSON({"detail": INTEGRITY}, 409)


async def _data_error(request: Request, error: Exception) -> Response:
    """A value Postgres cannot hold (a NUL in a text, an integer out of range): the request is at fault."""
    message = str(error).splitlines()[0]
    item = {"type": "value_error", "loc": ["body"], "msg": f"Value error, {message}", "input": None}
    return invalid_request([item], None)


async def _too_long(request: Request, error: Exception) -> Response:
    """A text under a key that is longer than a key can be. Random ones may have 2,700 bytes, repetitive ones more."""
    message = "Value error, a name or key is too long to be stored"
    return invalid_request([{"type": "value_error", "loc": ["body"], "msg": message, "input": None}], None)


async def _database_error(request: Request, error: Exception) -> Response:
    scope: Scope | None = getattr(request.app.state, "scope", None)
    # Of an outage everybody knows already: one line for each request would bury what else there is to know.
    told = scope is not None and not scope.settings.log_retryable_errors and scope.db.away_seconds is not None
    level = logging.DEBUG if told else logging.WARNING
    log.log(level, "database unavailable on %s %s: %s", request.method, request.url.path, error)
    return unavailable(request.app.state)


async def _gone(request: Request, error: Exception) -> Response:
    """The client went away before its body had come: nothing was done, and nobody is there to be told."""
    log.debug("%s %s was broken off by its client", request.method, request.url.path)
    return Response(status_code=499)  # what balancers write into their logs of such requests


async def _unexpected(request: Request, error: Exception) -> Response:
    log.error("unexpected error on %s %s", request.method, request.url.path, exc_info=error)
    return JSON({"exception_message": "Internal Server Error"}, 500)


def install(app: FastAPI) -> None:
    """Register every handler on ``app``."""
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(DatabaseUnavailable, _database_error)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(asyncpg.IntegrityConstraintViolationError, _integrity_error)
    app.add_exception_handler(asyncpg.DataError, _data_error)
    app.add_exception_handler(asyncpg.ProgramLimitExceededError, _too_long)
    app.add_exception_handler(Exception, _unexpected)
