"""The label matching language of triggers and event filters.

A specification is ``{label: pattern or [patterns]}``: all labels must match, each with any of its patterns. A pattern
is a case-sensitive glob (``*``, ``?``, ``[...]``) over the whole value; a leading ``!`` negates it. A label that is
absent matches nothing, a negation neither.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import translate
from functools import lru_cache

__all__ = [
    "LabelSpec",
    "is_negated",
    "label_value",
    "matches_any_event",
    "matches_event",
    "matches_label",
    "matches_labels",
    "matches_related",
    "to_like",
    "to_like_prefix",
]

LabelSpec = Mapping[str, str | Sequence[str]]
_RESOURCE_ROLE = "prefect.resource.role"
_MAGIC = frozenset("*?[")


@lru_cache(maxsize=4096)
def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern))


def is_negated(pattern: str) -> bool:
    return pattern.startswith("!")


def matches_label(pattern: str, value: str | None) -> bool:
    """Whether one pattern matches the value of a label (``None``: the label is absent)."""
    if value is None:
        return False
    if is_negated(pattern):
        return not _matches_glob(pattern[1:], value)
    return _matches_glob(pattern, value)


def _matches_glob(pattern: str, value: str) -> bool:
    # Most patterns are ids. Thousands of them would only drive the globs out of their cache.
    if _MAGIC.isdisjoint(pattern):
        return pattern == value
    return _glob(pattern).match(value) is not None


def matches_labels(spec: LabelSpec, labels: Mapping[str, str]) -> bool:
    """Whether one resource has all the labels of a specification; an empty one matches."""
    return all(
        any(matches_label(pattern, labels.get(label)) for pattern in ([wanted] if isinstance(wanted, str) else wanted))
        for label, wanted in spec.items()
    )


def matches_related(specs: LabelSpec | Sequence[LabelSpec], related: Sequence[Mapping[str, str]]) -> bool:
    """Whether each specification is met by some single related resource; an empty one needs none at all."""
    each = [specs] if isinstance(specs, Mapping) else specs
    return all(not spec or any(matches_labels(spec, labels) for labels in related) for spec in each)


def matches_event(pattern: str, name: str) -> bool:
    """Whether an event name matches; ``*`` stands for one or more characters, everything else for itself.

    Linear in the name, whatever the pattern: each part is looked for once, as far left as it goes.
    """
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == name
    if not name.startswith(first):
        return False
    at = len(first)
    for part in rest[:-1]:
        found = name.find(part, at + 1)
        if found < 0:
            return False
        at = found + len(part)
    return name.endswith(rest[-1]) and at + 1 <= len(name) - len(rest[-1])


def matches_any_event(patterns: Iterable[str], name: str) -> bool:
    return any(matches_event(pattern, name) for pattern in patterns)


def label_value(reference: str, resource: Mapping[str, str], related: Sequence[Mapping[str, str]]) -> str:
    """The value a trigger groups by: a label of the resource, or ``related:<role>:<label>`` of the first related
    resource in that role; empty if there is none.
    """
    if reference.startswith("related:") and reference.count(":") >= 2:
        _, role, label = reference.split(":", 2)
        first = next((labels for labels in related if labels.get(_RESOURCE_ROLE) == role), {})
        return first.get(label, "")
    return resource.get(reference, "")


_ESCAPES = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_"})


def to_like(pattern: str) -> str:
    """The SQL ``LIKE`` pattern (escape character: backslash) of a label glob, without its ``!``.

    ``*`` and ``?`` become ``%`` and ``_``; brackets mean themselves, as filters in storage know no character classes.
    """
    body = pattern[1:] if is_negated(pattern) else pattern
    return body.translate(_ESCAPES).replace("*", "%").replace("?", "_")


def to_like_prefix(prefix: str) -> str:
    """The SQL ``LIKE`` pattern of everything that starts with ``prefix``, which is taken literally."""
    return prefix.translate(_ESCAPES) + "%"
