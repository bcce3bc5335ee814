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
    "array_of",
    "before_after",
    "check_number",
    "combined",
    "exists",
    "is_null",
    "is_so",
    "like",
    "member",
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


def check_number(values: Sequence[Any], most: int = MAX_VALUES) -> None:
    """Raises Unprocessable for a list that is too long."""
    if len(values) > most:
        raise Unprocessable(f"Too many values in a filter: {len(values)}; at most {most} are allowed.")


def member(*operators: Iterable[Condition]) -> Condition:
    """What one member of a filter says: all its operators hold, whatever joins the members. None at all is TRUE."""
    return and_(true(), *(condition for conditions in operators for condition in conditions))


def is_so(condition: Any, wanted: bool | None) -> Condition:
    """``condition`` holds, or does not, as wanted; ``None`` says nothing."""
    if wanted is None:
        return true()
    return cast(Condition, condition) if wanted else not_(condition)


def array_of(values: Sequence[Any]) -> ColumnElement[Any]:
    """The values as one parameter. Raises Unprocessable for too many."""
    check_number(values)
    if values and isinstance(values[0], UUID):
        return literal(list(values), PG_ARRAY(Uuid))
    return literal([str(v) for v in values], PG_ARRAY(Text))


def among(column: ColumnElement[Any], values: Sequence[Any] | None) -> Iterable[Condition]:
    """``any_``: the column is one of the values; an empty list matches nothing."""
    if values is not None:
        yield column == any_(array_of(values)) if values else false()


def not_among(column: ColumnElement[Any], values: Sequence[Any] | None) -> Iterable[Condition]:
    """``not_any_``: the column is none of the values (and not NULL); an empty list says nothing."""
    if values:
        yield column != all_(array_of(values))


def like(column: ColumnElement[Any], text: str | None) -> Iterable[Condition]:
    """``like_``: contains the text, ignoring case; ``%`` and ``_`` in it are wildcards; empty says nothing."""
    if text:
        yield column.ilike(f"%{text}%")


def starts_with(column: ColumnElement[Any], prefixes: Sequence[str] | None) -> Iterable[Condition]:
    """``startswith_``: begins with one of the prefixes, ignoring case."""
    if prefixes is not None:
        escaped = [p.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%" for p in prefixes]
        yield column.ilike(any_(array_of(escaped))) if escaped else false()


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
        conditions.append(array.contains(array_of(wanted.all_)))
    any_of = getattr(wanted, "any_", None)
    if any_of is not None:
        conditions.append(array.overlap(array_of(any_of)) if any_of else false())
    if wanted.is_null_ is not None:
        empty = column == literal([], PG_ARRAY(Text))
        conditions.append(empty if wanted.is_null_ else not_(empty))
    return combined(wanted.operator, conditions)


def exists(query: Select[Any]) -> Condition:
    """Another object that satisfies its filter is there; correlated by the query's own conditions."""
    return query.exists()
