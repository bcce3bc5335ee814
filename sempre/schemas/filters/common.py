"""The parts that filters are made of.

A filter is a conjunction of its set members; with ``operator: or_`` (:class:`Combined`) a disjunction of them.
An unset member says nothing. ``any_: []`` matches no row; an empty ``not_any_`` or ``all_`` says nothing.
"""

from enum import StrEnum
from typing import Generic, TypeVar
from uuid import UUID

from sempre.schemas.base import DateTime, FilterModel

__all__ = [
    "AllOf",
    "AnyIdOrNull",
    "AnyOf",
    "AnyOrNot",
    "Combined",
    "KeyMatch",
    "Like",
    "NameMatch",
    "Operator",
    "TagsAll",
    "TagsAny",
    "Window",
    "WindowOrNull",
]

Value = TypeVar("Value")


class Operator(StrEnum):
    and_ = "and_"
    or_ = "or_"


class Combined(FilterModel):
    """A filter whose set members are joined by ``operator``."""

    operator: Operator = Operator.and_


class AnyOf(FilterModel, Generic[Value]):
    any_: list[Value] | None = None


class AnyOrNot(AnyOf[Value], Generic[Value]):
    not_any_: list[Value] | None = None


class AllOf(FilterModel, Generic[Value]):
    all_: list[Value] | None = None


class Like(FilterModel):
    """Case-insensitive substring in which ``%`` and ``_`` are wildcards; empty says nothing."""

    like_: str | None = None


class NameMatch(AnyOf[str]):
    like_: str | None = None


class KeyMatch(NameMatch):
    exists_: bool | None = None


class TagsAll(Combined):
    """``is_null_``: whether the row has no tags."""

    all_: list[str] | None = None
    is_null_: bool | None = None


class TagsAny(TagsAll):
    any_: list[str] | None = None


class AnyIdOrNull(Combined):
    any_: list[UUID] | None = None
    is_null_: bool | None = None


class Window(FilterModel):
    """A span of time, both ends included."""

    before_: DateTime | None = None
    after_: DateTime | None = None


class WindowOrNull(Window):
    is_null_: bool | None = None
