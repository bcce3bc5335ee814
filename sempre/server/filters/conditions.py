"""Filter models to SQL conditions: the operators, once for every resource.

An operator's function takes a column and the operator's value and yields what that demands; an operator that says
nothing yields nothing. Lists travel as arrays (``= ANY``), so a statement's text does not depend on how many values
were asked for.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ColumnElement, Text, Uuid, and_, any_, false, literal, not_, or_, true
from sqlalchemy.dialects.postgresql import ARRAY as PG_ARRAY
from sqlalchemy.sql.expression import all_
from sqlalchemy.types import ARRAY

from sempre.core import text_search
from sempre.core.event_patterns import to_like_prefix
from sempre.schemas.base import FilterModel
from sempre.schemas.filters.common import Operator
from sempre.server.errors import Unprocessable

__all__ = [
    "Condition",
    "Conditions",
    "among",
    "array_of",
    "check_number",
    "combined",
    "contains_text",
    "given",
    "is_null",
    "is_so",
    "like",
    "on_column",
    "operator",
]

Column = ColumnElement[Any]
Condition = ColumnElement[bool]
Conditions = Iterable[Condition]

MAX_VALUES = 10_000  # values in one list of a filter
MAX_PATTERN = 2_000  # characters; a pattern is held against every row there is


# --- filters and their members -------------------------------------------------------------------------


def given(filter: FilterModel) -> Iterator[tuple[str, Any]]:
    """What a filter, or a member of one, says: names and values without its ``operator``."""
    for name, value in filter.__dict__.items():
        if value is not None and name != "operator":
            yield name, value


def combined(filter: FilterModel, conditions: Conditions) -> Condition:
    """The conditions of one filter object, joined as its ``operator`` says, if it has one. None at all is TRUE."""
    found = list(conditions)
    if not found:
        return true()
    return or_(*found) if getattr(filter, "operator", None) is Operator.or_ else and_(*found)


def on_column(column: Column, member: FilterModel) -> Condition:
    """What a member of a filter says about its column, operator by operator."""
    asked = given(member)
    return combined(member, (condition for name, value in asked for condition in operator(name, column, value)))


def operator(name: str, column: Column, value: Any) -> Conditions:
    return (_ON_ARRAYS if isinstance(column.type, ARRAY) else _ON_VALUES)[name](column, value)


# --- operators -----------------------------------------------------------------------------------------


def among(column: Column, values: Sequence[Any]) -> Conditions:
    """``any_``: the column is one of the values; an empty list matches nothing."""
    yield column == any_(array_of(values)) if values else false()


def not_among(column: Column, values: Sequence[Any]) -> Conditions:
    """``not_any_``: the column is none of the values (and not NULL); an empty list says nothing."""
    if values:
        yield column != all_(array_of(values))


def like(column: Column, text: str) -> Conditions:
    """``like_``: contains the text, ignoring case; ``%`` and ``_`` in it are wildcards; empty says nothing.

    Raises Unprocessable for a text that no name is as long as.
    """
    if len(text) > MAX_PATTERN:
        raise Unprocessable(f"A text to look for has {len(text)} characters; at most {MAX_PATTERN} are allowed.")
    if text:
        yield column.ilike(f"%{text}%")


def starts_with(column: Column, prefixes: Sequence[str]) -> Conditions:
    """``startswith_``: begins with one of the prefixes, ignoring case; an empty list says nothing."""
    escaped = [p.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%" for p in prefixes]
    if escaped:
        yield column.ilike(any_(array_of(escaped)))


def is_null(column: Column, wanted: bool) -> Conditions:
    yield column.is_(None) if wanted else column.is_not(None)


def is_there(column: Column, wanted: bool) -> Conditions:
    return is_null(column, not wanted)


def is_so(condition: Any, wanted: bool) -> Conditions:
    """``eq_`` of a truth: it holds, or does not, as wanted."""
    yield cast(Condition, condition) if wanted else not_(condition)


def at_least(column: Column, bound: Any) -> Conditions:
    """``after_``, ``ge_``: inclusive; NULL is outside every range."""
    yield column >= bound


def at_most(column: Column, bound: Any) -> Conditions:
    """``before_``, ``le_``: inclusive; NULL is outside every range."""
    yield column <= bound


def superset(column: Any, values: Sequence[str]) -> Conditions:
    """``all_``: the array has all of the values; an empty list says nothing."""
    if values:
        yield column.contains(array_of(values))


def overlapping(column: Any, values: Sequence[str]) -> Conditions:
    """``any_``: the array has one of the values; an empty list matches nothing."""
    yield column.overlap(array_of(values)) if values else false()


def is_empty(column: Column, wanted: bool) -> Conditions:
    """``is_null_`` of an array: it has no elements."""
    return is_so(column == literal([], PG_ARRAY(Text)), wanted)


_ON_VALUES: Mapping[str, Callable[[Column, Any], Conditions]] = {
    "any_": among,
    "not_any_": not_among,
    "like_": like,
    "startswith_": starts_with,
    "is_null_": is_null,
    "exists_": is_there,
    "eq_": is_so,
    "after_": at_least,
    "ge_": at_least,
    "before_": at_most,
    "le_": at_most,
}
_ON_ARRAYS: Mapping[str, Callable[[Column, Any], Conditions]] = {
    "all_": superset,
    "any_": overlapping,
    "is_null_": is_empty,
}


# --- values --------------------------------------------------------------------------------------------


def check_number(values: Sequence[Any], most: int = MAX_VALUES) -> None:
    """Raises Unprocessable for a list that is too long."""
    if len(values) > most:
        raise Unprocessable(f"Too many values in a filter: {len(values)}; at most {most} are allowed.")


def array_of(values: Sequence[Any]) -> Column:
    """The values as one parameter. Raises Unprocessable for too many."""
    check_number(values)
    if values and isinstance(values[0], UUID):
        return literal(list(values), PG_ARRAY(Uuid))
    return literal([str(v) for v in values], PG_ARRAY(Text))


def contains_text(text: Column, query: str) -> Conditions:
    """The text search of logs and events: any of the words, none of the excluded, all of the required ones."""
    terms = text_search.parse(query)

    def contains(term: str) -> Condition:
        return text.ilike("%" + to_like_prefix(term))

    if terms.include:
        yield or_(*map(contains, terms.include))
    for term in terms.exclude:
        yield not_(contains(term))
    for term in terms.required:
        yield contains(term)
