"""The event filter as SQL over the table ``event``.

Lists travel as arrays, so a statement's text depends on the shape of the filter alone. Criteria on ids come in a form
the indexes know; the others narrow what those, or the window of time, leave.
"""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, and_, any_, column, false, func, literal, not_, or_, select
from sqlalchemy.dialects.postgresql import JSONB

from sempre.core.event_patterns import is_negated, to_like, to_like_prefix
from sempre.db.tables import event
from sempre.schemas.filters.events import (
    EventAnyResourceFilter,
    EventFilter,
    EventNameFilter,
    EventRelatedFilter,
    EventResourceFilter,
)
from sempre.schemas.resources import ID, ROLE, ResourceSpecification
from sempre.server.filters.conditions import Condition, Conditions, among, array_of, check_number, contains_text

__all__ = ["event_conditions"]

_c = event.c

_FEW = 10
_MOST_CRITERIA = 500  # that are a piece of SQL each
_MOST_RESOURCES = 50  # asked for beside each other: each is a search of its own in every event


def event_conditions(filter: EventFilter, workspace_id: UUID) -> Condition:
    """Everything but ``order`` and ``resource.distinct``, which are not about single events."""
    return and_(*_conditions(filter, workspace_id))


def _conditions(filter: EventFilter, workspace_id: UUID) -> Iterator[Condition]:
    yield _c.workspace_id == workspace_id
    yield _c.occurred >= filter.occurred.since
    yield _c.occurred <= filter.occurred.until
    if filter.event:
        yield from _names(filter.event)
    if filter.resource:
        yield from _primary(filter.resource)
    for related in _each(filter.related):
        yield from _related(related)
    for resource in _each(filter.any_resource):
        yield from _any_resource(resource)
    if filter.id.id:
        yield from among(_c.id, filter.id.id)
    if filter.text:
        yield from _text(filter.text.query)


def _each(given: Any) -> list[Any]:
    if given is None:
        return []
    if not isinstance(given, list):
        return [given]
    check_number(given, _MOST_RESOURCES)
    return given


def _names(names: EventNameFilter) -> Iterator[Condition]:
    if names.prefix:
        yield _starts_with_any(_c.event, names.prefix)
    if names.exclude_prefix:
        yield not_(_starts_with_any(_c.event, names.exclude_prefix))
    if names.name:
        yield from among(_c.event, names.name)
    if names.exclude_name:
        yield not_(_c.event == any_(array_of(names.exclude_name)))


def _primary(wanted: EventResourceFilter) -> Iterator[Condition]:
    if wanted.id:
        yield from among(_c.resource_id, wanted.id)
    if wanted.id_prefix:
        yield _starts_with_any(_c.resource_id, wanted.id_prefix)
    yield from _labels(_c.resource, wanted.labels)


def _related(wanted: EventRelatedFilter) -> Iterator[Condition]:
    """One related resource meets all of it. The primary one is looked at too if roles are asked for: its role is ""."""
    if wanted.id:
        yield _c.resource_ids.overlap(array_of(wanted.id))
    if wanted.resources_in_roles:
        yield _c.resource_ids.overlap(array_of([id for id, _ in wanted.resources_in_roles]))

    def criteria(labels: ColumnElement[Any], role: ColumnElement[Any]) -> Iterator[Condition]:
        if wanted.id:
            yield from among(_label(labels, ID), wanted.id)
        if wanted.role:
            yield role == any_(array_of(wanted.role))
        if wanted.resources_in_roles:
            check_number(wanted.resources_in_roles, _MOST_CRITERIA)
            yield or_(*(and_(_label(labels, ID) == id, role == r) for id, r in wanted.resources_in_roles))
        yield from _labels(labels, wanted.labels, role)

    related, role = _elements(_c.related)
    conditions = list(criteria(related, role))
    if not conditions:
        return
    found: Condition = _some_element(_c.related, conditions)
    if wanted.role:
        found = or_(found, and_(*criteria(_c.resource, literal("", Text))))
    yield found


def _any_resource(wanted: EventAnyResourceFilter) -> Iterator[Condition]:
    """The primary resource or one related resource meets all of it."""
    if wanted.id:
        yield _c.resource_ids.overlap(array_of(wanted.id))
        if not wanted.id_prefix and not wanted.labels:
            return

    def criteria(labels: ColumnElement[Any], role: ColumnElement[Any]) -> Iterator[Condition]:
        if wanted.id:
            yield from among(_label(labels, ID), wanted.id)
        if wanted.id_prefix:
            yield _starts_with_any(_label(labels, ID), wanted.id_prefix)
        yield from _labels(labels, wanted.labels, role)

    related, role = _elements(_c.related)
    conditions = list(criteria(related, role))
    if conditions:
        primary = and_(*criteria(_c.resource, literal("", Text)))
        yield or_(primary, _some_element(_c.related, conditions))


_ELEMENT = "related_resource"


def _elements(array: ColumnElement[Any]) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    element: ColumnElement[Any] = column(_ELEMENT, JSONB)
    return element, _label(element, ROLE)


def _some_element(array: ColumnElement[Any], conditions: Sequence[Condition]) -> Condition:
    elements = func.jsonb_array_elements(array).table_valued(column(_ELEMENT, JSONB), name="related_resources")
    elements = elements.render_derived()
    return select(literal(1)).select_from(elements).where(*conditions).correlate(event).exists()


def _label(labels: ColumnElement[Any], name: str) -> ColumnElement[Any]:
    text: ColumnElement[Any] = labels[name].astext
    return text


def _labels(
    labels: ColumnElement[Any], wanted: ResourceSpecification | None, role: ColumnElement[Any] | None = None
) -> Iterator[Condition]:
    """The labels of a specification. With ``role`` given, the role is compared as it stands, without globs."""
    named = wanted.patterns() if wanted else {}
    check_number([pattern for patterns in named.values() for pattern in patterns], _MOST_CRITERIA)
    for name, patterns in named.items():
        if name == ROLE and role is not None:
            yield or_(false(), *(role != p[1:] if is_negated(p) else role == p for p in patterns))
        else:
            value = _label(labels, name)
            yield or_(false(), *(_matches(value, pattern) for pattern in patterns))


def _matches(value: ColumnElement[Any], pattern: str) -> Condition:
    body = pattern[1:] if is_negated(pattern) else pattern
    if "*" not in body and "?" not in body:
        return value != body if is_negated(pattern) else value == body
    like = to_like(pattern)
    return value.not_like(like) if is_negated(pattern) else value.like(like)


def _starts_with_any(text: ColumnElement[Any], prefixes: Sequence[str]) -> Condition:
    patterns = [to_like_prefix(prefix) for prefix in prefixes]
    if len(patterns) > _FEW:
        return text.like(any_(array_of(patterns)))
    return or_(*(text.like(pattern) for pattern in patterns))  # which indexes know, as they do not know arrays


def _text(query: str) -> Conditions:
    columns = (_c.event, *(column.cast(Text) for column in (_c.resource, _c.related, _c.payload)))
    return contains_text(func.concat_ws(literal(" ", Text), *columns), query)
