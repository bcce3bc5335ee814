"""The event filter in memory, for the live feed: the same answer as the one in SQL, event by event."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sempre.core import text_search
from sempre.core.event_patterns import matches_labels
from sempre.schemas.filters.events import EventAnyResourceFilter, EventFilter, EventNameFilter, EventRelatedFilter
from sempre.schemas.resources import ID, ROLE, ResourceSpecification

__all__ = ["Matcher", "matcher"]

Labels = Mapping[str, str]
# Takes an event as a mapping of the columns of `event`.
Matcher = Callable[[Mapping[str, Any]], bool]


def matcher(filter: EventFilter) -> Matcher:
    """A predicate on events. ``order`` and ``resource.distinct`` are not about single events and say nothing."""
    checks = list(_checks(filter))
    return lambda event: all(check(event) for check in checks)


def _checks(filter: EventFilter) -> list[Matcher]:
    since, until = filter.occurred.since, filter.occurred.until
    checks: list[Matcher] = [lambda event: since <= event["occurred"] <= until]
    if filter.event:
        checks.append(_names(filter.event))
    if filter.id.id:
        ids = frozenset(filter.id.id)
        checks.append(lambda event: event["id"] in ids)
    if resource := filter.resource:
        one = EventAnyResourceFilter(id=resource.id, id_prefix=resource.id_prefix, labels=resource.labels)
        checks.append(lambda event: _meets(event["resource"], one))
    checks.extend(_related(wanted) for wanted in _each(filter.related))
    checks.extend(_any_resource(wanted) for wanted in _each(filter.any_resource))
    if filter.text:
        checks.append(_text(filter.text.query))
    return checks


def _each(given: Any) -> list[Any]:
    if given is None:
        return []
    return given if isinstance(given, list) else [given]


def _names(wanted: EventNameFilter) -> Matcher:
    names, excluded = frozenset(wanted.name or ()), frozenset(wanted.exclude_name or ())
    prefixes, excluded_prefixes = tuple(wanted.prefix or ()), tuple(wanted.exclude_prefix or ())

    def check(event: Mapping[str, Any]) -> bool:
        name: str = event["event"]
        return (
            (not names or name in names)
            and (not prefixes or name.startswith(prefixes))
            and name not in excluded
            and not (excluded_prefixes and name.startswith(excluded_prefixes))
        )

    return check


def _related(wanted: EventRelatedFilter) -> Matcher:
    if not (wanted.id or wanted.role or wanted.resources_in_roles or wanted.labels):
        return lambda event: True

    def meets(labels: Labels, role: str) -> bool:
        return (
            (not wanted.id or labels[ID] in wanted.id)
            and (not wanted.role or role in wanted.role)
            and (not wanted.resources_in_roles or (labels[ID], role) in wanted.resources_in_roles)
            and _has_labels(labels, wanted.labels, role)
        )

    def check(event: Mapping[str, Any]) -> bool:
        if any(meets(labels, labels.get(ROLE, "")) for labels in event["related"]):
            return True
        return bool(wanted.role) and meets(event["resource"], "")

    return check


def _any_resource(wanted: EventAnyResourceFilter) -> Matcher:
    def check(event: Mapping[str, Any]) -> bool:
        related: Sequence[Labels] = event["related"]
        return _meets(event["resource"], wanted, "") or any(_meets(r, wanted, r.get(ROLE, "")) for r in related)

    return check


def _meets(labels: Labels, wanted: EventAnyResourceFilter, role: str | None = None) -> bool:
    return (
        (not wanted.id or labels[ID] in wanted.id)
        and (not wanted.id_prefix or labels[ID].startswith(tuple(wanted.id_prefix)))
        and _has_labels(labels, wanted.labels, role)
    )


def _has_labels(labels: Labels, wanted: ResourceSpecification | None, role: str | None = None) -> bool:
    if not wanted:
        return True
    if role is not None and ROLE in wanted:
        patterns = wanted.patterns()[ROLE]
        if not any((role != p[1:]) if p.startswith("!") else role == p for p in patterns):
            return False
        wanted = ResourceSpecification({name: given for name, given in wanted.items() if name != ROLE})
    return matches_labels(wanted, labels)


def _text(query: str) -> Matcher:
    terms = text_search.parse(query)

    def check(event: Mapping[str, Any]) -> bool:
        parts = (json.dumps(event[part], ensure_ascii=False) for part in ("resource", "related", "payload"))
        return text_search.matches(terms, " ".join((event["event"], *parts)))

    return check if not terms.is_blank else lambda event: True
