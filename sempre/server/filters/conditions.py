"""Filter models to SQL conditions: the operators, once for every resource.

Every function takes a column and the operators of one filter member and yields conditions; the caller joins them.
Lists travel as arrays (``= ANY``), so a statement's text does not depend on how many values were asked for.
"""

from collections.abc import Iterable, Sequence
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Text, Uuid, and_, any_, false, literal, not_, or_, true
from sqlalchemy.dialects.postgresql import ARRAY as PG_ARRAY
from sqlalchemy.sql.expression import all_

from sempre.schemas.filters.common import Operator
from sempre.server.errors import Unprocessable

__all__ = [
    "MAX_VALUES",
    "Condition",
    "among",
    "before_after",
    "combined",
    "exists",
    "is_null",
    "like",
    "not_among",
    "starts_with",
    "tags",
]

Condition = ColumnElement[bool]

MAX_VALUES = 10_000  # values in one list of a filter


def combined(operator: Operator | None, conditions: Iterable[Condition]) -> Condition:
    """The conditions of one filter object, joined as it asks. None at all is TRUE."""
    found = list(conditions)
    if not found:
        return true()
    return or_(*found) if operator is Operator.or_ else and_(*found)


def _array(values: Sequence[Any]) -> ColumnElement[Any]:
    if len(values) > MAX_VALUES:
        raise Unprocessable(f"Too many values in a filter: {len(values)}; at most {MAX_VALUES} are allowed.")
    if values and isinstance(values[0], UUID):
        return literal(list(values), PG_ARRAY(Uuid))
    return literal([str(v) for v in values], PG_ARRAY(Text))


def among(column: ColumnElement[Any], values: Sequence[Any] | None) -> Iterable[Condition]:
    """``any_``: the column is one of the values; an empty list matches nothing."""
    if values is not None:
        yield column == any_(_array(values)) if values else false()


def not_among(column: ColumnElement[Any], values: Sequence[Any] | None) -> Iterable[Condition]:
    """``not_any_``: the column is none of the values (and not NULL); an empty list says nothing."""
    if values:
        yield column != all_(_array(values))


def like(column: ColumnElement[Any], text: str | None) -> Iterable[Condition]:
    """``like_``: contains the text, ignoring case; ``%`` and ``_`` in it are wildcards; empty says nothing."""
    if text:
        yield column.ilike(f"%{text}%")


def starts_with(column: ColumnElement[Any], prefixes: Sequence[str] | None) -> Iterable[Condition]:
    """``startswith_``: begins with one of the prefixes, ignoring case."""
    if prefixes is not None:
        escaped = (p.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") for p in prefixes)
        yield or_(false(), *(column.ilike(f"{prefix}%") for prefix in escaped))


def is_null(column: ColumnElement[Any], wanted: bool | None) -> Iterable[Condition]:
    if wanted is not None:
        yield column.is_(None) if wanted else column.is_not(None)


def before_after(column: ColumnElement[Any], window: Any) -> Iterable[Condition]:
    """``before_`` and ``after_``, both inclusive; NULL is outside every window."""
    if window.before_ is not None:
        yield column <= window.before_
    if window.after_ is not None:
        yield column >= window.after_


def tags(column: ColumnElement[Any], wanted: Any) -> Condition:
    """A tags filter: ``all_`` (superset), ``any_`` (overlap, empty matches nothing), ``is_null_`` (no tags)."""
    array = cast(Any, column)
    conditions: list[Condition] = []
    if wanted.all_:
        conditions.append(array.contains(_array(wanted.all_)))
    any_of = getattr(wanted, "any_", None)
    if any_of is not None:
        conditions.append(array.overlap(_array(any_of)) if any_of else false())
    if wanted.is_null_ is not None:
        empty = column == literal([], PG_ARRAY(Text))
        conditions.append(empty if wanted.is_null_ else not_(empty))
    return combined(wanted.operator, conditions)


def exists(query: Select[Any]) -> Condition:
    """Another object that satisfies its filter is there; correlated by the query's own conditions."""
    return query.exists()
