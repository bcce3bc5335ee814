"""What the errors of the libraries for stores mean. They have no common ancestor, and not all are installed: they are
told by the HTTP status that they carry, or by their names."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

__all__ = ["Trouble", "said_by", "trouble_of"]


class Trouble(Enum):
    """``passes``: the same call may succeed a moment later."""

    MISSING = "the thing that was asked for is not there"
    NOWHERE = "the place that it should be in is not there"
    REFUSED = "credentials are missing, unknown, or may not do this"
    AWAY = "no answer"
    BUSY = "the answer is that there can be none now"
    OTHER = "anything else"

    @property
    def passes(self) -> bool:
        return self in (Trouble.AWAY, Trouble.BUSY)


# As in botocore, aiohttp, requests, google-auth, azure-core, fsspec; the first two are Python's own, too.
_AWAY = frozenset({
    "ConnectionError", "TimeoutError", "HTTPClientError", "ClientConnectionError", "ClientPayloadError",
    "ServiceRequestError", "ServiceResponseError", "TransportError", "FSTimeoutError", "gaierror",
})  # fmt: skip
_REFUSED = frozenset({
    "PermissionError", "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError",
    "TokenRetrievalError", "NoAuthTokenError", "GoogleAuthError", "ClientAuthenticationError",
})  # fmt: skip
_BUSY = frozenset({408, 429, 500, 502, 503, 504})


def trouble_of(error: BaseException, handled: BaseException | None = None) -> Trouble:
    """What an error means, with those that it came from.

    ``handled`` is what was being handled when the store was asked: Python chains it to the error, but it is no cause.
    """
    names: set[str] = set()
    statuses: list[int] = []
    codes: set[str] = set()
    for each in _chain(error, handled):
        names.update(kind.__name__ for kind in type(each).__mro__)
        status, code = _answer(each)
        if status is not None:
            statuses.append(status)
        codes.add(code)
    status = statuses[0] if statuses else None
    if codes & {"NoSuchBucket", "ContainerNotFound"}:
        return Trouble.NOWHERE
    if status in _BUSY:
        return Trouble.BUSY
    if status == 404 or (status is None and isinstance(error, FileNotFoundError)):
        return Trouble.MISSING
    # A failed sign-in is told as 401 also where the place to sign in at did not answer.
    if names & _AWAY:
        return Trouble.AWAY
    if status in (401, 403) or names & _REFUSED or str(error).startswith("Forbidden"):
        return Trouble.REFUSED
    return Trouble.OTHER


def said_by(error: BaseException) -> str:
    """An error in a line."""
    text = " ".join(str(error).split())[:500].rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _chain(error: BaseException, end: BaseException | None) -> Iterator[BaseException]:
    at: BaseException | None = error
    seen: set[int] = set()
    while at is not None and at is not end and id(at) not in seen:
        seen.add(id(at))
        yield at
        at = at.__cause__ or (None if at.__suppress_context__ else at.__context__)


def _answer(error: BaseException) -> tuple[int | None, str]:
    """The HTTP status and the store's own code that an error carries."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return _number(status), str(response.get("Error", {}).get("Code", ""))
    for name in ("status_code", "status", "code"):  # azure-core, aiohttp, gcsfs
        status = _number(getattr(error, name, None))
        if status is not None:
            return status, str(getattr(error, "error_code", None) or "")
    return None, ""


def _number(value: object) -> int | None:
    try:
        found = int(value)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        return None
    return found if 400 <= found < 600 else None
