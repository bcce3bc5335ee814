"""Base classes and value types of the wire models.

Three kinds of models: what clients send to create or change something (:class:`ActionModel`) and what they
filter by (:class:`FilterModel`) refuse unknown keys; everything else (:class:`WireModel`) ignores them, so that
either side may be newer than the other.
"""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

import pydantic_core
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    WithJsonSchema,
)
from pydantic.config import JsonDict

from sempre.schemas import limits
from sempre.schemas.slugs import random_slug

__all__ = [
    "DEPRECATED",
    "ActionModel",
    "DateTime",
    "Duration",
    "FilterModel",
    "Integer",
    "JsonObject",
    "Labels",
    "Name",
    "NewRunName",
    "NonNegativeFloat",
    "NonNegativeInteger",
    "Page",
    "Parameters",
    "PositiveInteger",
    "Record",
    "RunName",
    "Seconds",
    "Slug",
    "Span",
    "WireModel",
    "check_slug",
    "compact_length",
    "compact_size",
    "to_utc",
]


class WireModel(BaseModel):
    """A value on the wire; keys this version does not know are ignored."""

    # Built at first use: a command line that reads one flow run must not pay for three hundred models.
    model_config = ConfigDict(extra="ignore", defer_build=True)


class ActionModel(WireModel):
    """The body of a create or update call; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")

    def sent(self) -> dict[str, Any]:
        """The fields the caller sent, null included, as Python values: what a PATCH writes."""
        values = self.__dict__
        return {name: values[name] for name in type(self).model_fields if name in self.model_fields_set}


class FilterModel(WireModel):
    """A part of a filter; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


DEPRECATED: JsonDict = {"deprecated": True}
"""Marks a field as deprecated in the API document without the warnings pydantic raises at each access."""


# --- values --------------------------------------------------------------------------------------------


def to_utc(value: datetime) -> datetime:
    """The same moment in UTC; a naive time is one already. Raises ``ValueError`` past the calendar's ends."""
    zone = value.tzinfo
    if zone is UTC:
        return value
    if zone is None:
        return value.replace(tzinfo=UTC)
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("the time is outside the years 1 to 9999 in UTC") from None


DateTime = Annotated[datetime, AfterValidator(to_utc)]
"""A moment in UTC. In: ISO 8601 (no offset = UTC), a date, or epoch seconds or milliseconds; digits after the
sixth of a fraction are dropped. Out: ISO 8601 with ``Z``."""

Duration = Annotated[timedelta, PlainSerializer(timedelta.total_seconds, return_type=float, when_used="json")]
"""A span of time. In: seconds, an ISO 8601 duration or ``HH:MM:SS``. Out: float seconds."""


def _to_number(value: object) -> object:
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


Span = Annotated[timedelta, BeforeValidator(_to_number), WithJsonSchema({"type": "number", "format": "time-delta"})]
"""The same as a parameter of a body, where it is a number, which may be written as text."""


def _to_seconds(value: object) -> object:
    return value.total_seconds() if isinstance(value, timedelta) else value


Seconds = Annotated[float, BeforeValidator(_to_seconds)]
"""Float seconds on both sides; a ``timedelta`` is taken as well."""

Name = Annotated[str, Field(pattern=r"^[^/%&><]+$")]
"""The name of something that appears in URLs: not empty, none of ``/ % & < >``."""

_SLUG = re.compile(r"[a-z0-9-]*")


def check_slug(value: str) -> str:
    """The value itself. Raises ``ValueError`` unless it is made of lowercase letters, digits and dashes."""
    if not _SLUG.fullmatch(value):
        raise ValueError("only lowercase letters, digits and dashes are allowed")
    return value


Slug = Annotated[str, AfterValidator(check_slug)]
"""Lowercase letters, digits and dashes; may be empty."""


def _to_run_name(value: object) -> object:
    return random_slug() if value is None or value == "" else value


RunName = Annotated[str, BeforeValidator(_to_run_name)]
"""The name of a run; null or empty is replaced by two random words."""

NewRunName = Annotated[str | None, BeforeValidator(_to_run_name)]
"""The same in an update, where absent (but not null) means unchanged."""


def _check_size(value: int) -> int:
    if value >= 2**31:
        raise ValueError("the number is too large")
    return value


# Numbers that the server reckons with for many objects at once: none may be so large that the sum of a few overflows.
Integer = Annotated[int, AfterValidator(_check_size)]
NonNegativeInteger = Annotated[int, Field(ge=0), AfterValidator(_check_size)]
PositiveInteger = Annotated[int, Field(gt=0), AfterValidator(_check_size)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]
JsonObject = dict[str, Any]

Labels = dict[str, StrictBool | StrictInt | StrictFloat | StrictStr]
"""Label name to a scalar, taken as it is: no conversion between text, numbers and booleans."""


def compact_size(value: object) -> int:
    """Length in bytes of ``value`` as compact UTF-8 JSON."""
    try:
        return len(pydantic_core.to_json(value))
    except pydantic_core.PydanticSerializationError:
        return len(json.dumps(value, separators=(",", ":"), default=str).encode("utf-8", "surrogatepass"))


def compact_length(value: object) -> int:
    """Length in characters of ``value`` as compact JSON without ASCII escapes."""
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str))


def _check_parameters(value: JsonObject) -> JsonObject:
    bound = limits.current().parameter_bytes
    # The rule counts ASCII escapes, at most three times the UTF-8 form, which is measured an order faster.
    if bound and value and 3 * compact_size(value) > bound:
        from sempre.core.parameters import check_parameter_size  # brings JSON Schema, which clients do without

        check_parameter_size(value, bound)
    return value


Parameters = Annotated[JsonObject, AfterValidator(_check_parameters)]
"""Run parameters, bounded by :attr:`sempre.schemas.limits.Limits.parameter_bytes`."""


# --- shapes --------------------------------------------------------------------------------------------


class Record(WireModel):
    """What every stored object has."""

    id: UUID
    created: DateTime | None
    updated: DateTime | None


Item = TypeVar("Item")


class Page(WireModel, Generic[Item]):
    """One page of a list; ``pages`` is 0 when ``limit`` is."""

    results: list[Item]
    count: int
    limit: int
    pages: int
    page: int
