"""What a command cannot do, in a sentence for the person who typed it. Each says what happened and what to do."""

from __future__ import annotations

from typing import Any


class CliError(Exception):
    """Ends the command: the sentence goes to standard error, `code` to the shell."""

    code = 1


class ApiAway(CliError):
    """The API could not be reached, or asked to wait for longer than the command line does; then `status` says how."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ApiError(CliError):
    """The API answered, and not with what was asked for. `detail` is its own explanation."""

    def __init__(self, method: str, path: str, status: int, detail: str) -> None:
        self.method, self.path, self.status, self.detail = method, path, status, detail
        super().__init__(f"The API refused {method} {path} with {status}: {detail}{_advice(status)}")


class NotFound(ApiError):
    """404: there is no such thing."""


class AlreadyExists(ApiError):
    """409: there is one of that name."""


def api_error(method: str, path: str, status: int, body: Any) -> ApiError:
    """The error of a refusal; `body` is what came with it, parsed if it was JSON."""
    kind = {404: NotFound, 409: AlreadyExists}.get(status, ApiError)
    return kind(method, path, status, detail_of(body) or "it gave no reason")


def detail_of(body: Any) -> str:
    """The reason in an error body of the protocol, which has it under one of four names."""
    if not isinstance(body, dict):
        return str(body or "").strip()[:500]
    problems = body.get("exception_detail") or body.get("detail") or body.get("exception_message")
    if isinstance(problems, list):
        return "; ".join(_problem(each) for each in problems)
    return str(problems or body.get("message") or "")


def _problem(each: Any) -> str:
    if not isinstance(each, dict):
        return str(each)
    place = ".".join(str(part) for part in each.get("loc", ()) if part != "body")
    return f"{place}: {each.get('msg')}" if place else str(each.get("msg"))


def _advice(status: int) -> str:
    if status == 401:
        return ". Set SEMPRE_API_AUTH_STRING (user:password) or SEMPRE_API_KEY, in the environment or the profile."
    if status >= 500:
        return ". Its log says more."
    return ""
