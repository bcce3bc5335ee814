"""What is copied of a document when it is made anew: all that was set, nothing that a server adds by itself."""

from __future__ import annotations

from typing import Any

from sempre.cli.moments import parse_moment
from sempre.cli.rest import Json

_DEPLOYMENT = (
    "name", "description", "version", "tags", "labels", "parameters", "parameter_openapi_schema",
    "enforce_parameter_schema", "entrypoint", "path", "pull_steps", "work_pool_name", "work_queue_name",
    "job_variables", "paused", "concurrency_limit", "concurrency_options",
)  # fmt: skip
_SCHEDULE = ("schedule", "active", "max_scheduled_runs", "parameters", "slug")


def pick(document: Json, fields: tuple[str, ...]) -> Json:
    """Those of the fields that the document has a value for."""
    return {name: document[name] for name in fields if document.get(name) is not None}


def deployment_body(document: Json) -> Json:
    """The body that makes a deployment like this one; the flow is the caller's."""
    body: dict[str, Any] = pick(document, _DEPLOYMENT)
    if not (body.get("parameter_openapi_schema") or {}).get("properties"):
        body.pop("parameter_openapi_schema", None)  # servers write "no parameters" in several ways
    limit = document.get("global_concurrency_limit")
    if limit and "concurrency_limit" not in body:
        body["concurrency_limit"] = limit["limit"]
    if "schedules" in document:
        body["schedules"] = [pick(item, _SCHEDULE) for item in document["schedules"] or ()]
    return body


def differs(wanted: Any, there: Any) -> bool:
    """Whether something that is wanted is not there. What is there beside it does not count: servers add defaults."""
    if isinstance(wanted, dict) and isinstance(there, dict):
        return any(differs(value, there.get(name)) for name, value in wanted.items())
    if isinstance(wanted, list) and isinstance(there, list):
        return len(wanted) != len(there) or any(map(differs, wanted, there))
    if isinstance(wanted, str) and isinstance(there, str) and wanted != there:
        return not _same_moment(wanted, there)
    return bool(wanted != there and (wanted or there))


def same(one: Any, other: Any) -> bool:
    """Whether neither has what the other lacks."""
    return not differs(one, other) and not differs(other, one)


def _same_moment(one: str, other: str) -> bool:
    """Servers write one moment in several ways."""
    try:
        return parse_moment(one) == parse_moment(other)
    except ValueError:
        return False
