"""What can go wrong with a call: one small tree under `ClientError`."""

from __future__ import annotations

from typing import Any

__all__ = [
    "ApiRefused",
    "ApiUnreachable",
    "ClientError",
    "LocalServerError",
    "NotAllowed",
    "ObjectAlreadyExists",
    "ObjectLimitReached",
    "ObjectNotFound",
    "Unauthorized",
    "refusal",
    "refuses_ids",
]


class ClientError(Exception):
    """A call to the API did not do what was asked."""


class ApiUnreachable(ClientError):
    """The API could not be reached, or asked to wait, for longer than patience allows. Whether the last attempt was
    carried out is unknown; making the same call again is safe."""


class LocalServerError(ClientError):
    """No API is configured, and a local server could not be started. The message ends with what it wrote."""


class ApiRefused(ClientError):
    """The API answered with an error. `status_code` is the HTTP status, `detail` the body as JSON or text,
    `retry_after` how many seconds later it asks to be asked again."""

    def __init__(
        self,
        method: str,
        url: str,
        status_code: int,
        detail: Any,
        *,
        repeated: bool = False,
        retry_after: float | None = None,
    ) -> None:
        self.method = method
        self.url = url
        self.status_code = status_code
        self.detail = detail
        self.retry_after = retry_after
        self.repeated = repeated
        """An earlier attempt of this call got no answer, and may be what is refused now."""
        super().__init__(f"{method} {url} was answered with {status_code}: {_sentence(detail)}")


class Unauthorized(ApiRefused):
    """The API wants credentials: set SEMPRE_API_AUTH_STRING or SEMPRE_API_KEY to what it expects."""


class NotAllowed(ApiRefused):
    """The API does not allow this, for instance changing a block type of its own."""


class ObjectLimitReached(NotAllowed):
    """There are as many objects of this kind as are allowed."""


class ObjectNotFound(ApiRefused):
    """There is no such object."""


class ObjectAlreadyExists(ApiRefused):
    """There is an object of this name already."""


def refusal(
    method: str, url: str, status_code: int, detail: Any, *, repeated: bool, retry_after: float | None
) -> ApiRefused:
    """The error that fits an answer."""
    kinds: dict[int, type[ApiRefused]] = {
        401: Unauthorized,
        403: NotAllowed,
        404: ObjectNotFound,
        409: ObjectAlreadyExists,
    }
    kind = kinds.get(status_code, ApiRefused)
    if kind is NotAllowed and "maximum number" in str(detail):
        kind = ObjectLimitReached
    return kind(method, url, status_code, detail, repeated=repeated, retry_after=retry_after)


def refuses_ids(error: ApiRefused) -> bool:
    """Whether the API, an older one or another's, knows nothing of ids that clients make."""
    detail = error.detail.get("exception_detail") if isinstance(error.detail, dict) else None
    return error.status_code == 422 and any(
        isinstance(item, dict) and item.get("type") == "extra_forbidden" and list(item.get("loc") or [""])[-1] == "id"
        for item in (detail if isinstance(detail, list) else ())
    )


def _sentence(detail: Any) -> str:
    if isinstance(detail, dict):
        said = [detail.get(key) for key in ("detail", "exception_message", "exception_detail")]
        detail = " ".join(str(each) for each in said if each) or detail
    return str(detail)[:2000] or "(no reason given)"
