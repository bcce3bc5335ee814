"""The text search of logs and events: ``err "time out" -debug +api``."""

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["TextQuery", "matches", "parse"]


@dataclass(frozen=True, slots=True)
class TextQuery:
    """Lower-case terms: any of ``include`` (if there are any), none of ``exclude``, all of ``required``."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    required: tuple[str, ...] = ()

    @property
    def is_blank(self) -> bool:
        """Whether everything matches."""
        return not (self.include or self.exclude or self.required)


_KINDS = {"-": "exclude", "!": "exclude", "+": "required"}


def parse(query: str) -> TextQuery:
    """Split at blanks; ``-`` or ``!`` excludes, ``+`` requires, double quotes hold a phrase together.

    Inside quotes ``\\"`` and ``\\\\`` are escapes, and a missing closing quote is read as one at the end. A prefix
    followed by a blank means nothing. Never fails.
    """
    terms: dict[str, dict[str, None]] = {"include": {}, "exclude": {}, "required": {}}
    for kind, text in _terms(query):
        terms[kind][text.lower()] = None
    return TextQuery(*(tuple(terms[kind]) for kind in ("include", "exclude", "required")))


def _terms(query: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(query):
        if query[at].isspace():
            at += 1
            continue
        kind = _KINDS.get(query[at], "include")
        if kind != "include":
            at += 1
        text, at = _phrase(query, at + 1) if query[at : at + 1] == '"' else _word(query, at)
        if text:
            yield kind, text


def _word(query: str, at: int) -> tuple[str, int]:
    end = at
    while end < len(query) and not query[end].isspace() and query[end] != '"':
        end += 1
    return query[at:end], end


def _phrase(query: str, at: int) -> tuple[str, int]:
    text: list[str] = []
    while at < len(query) and query[at] != '"':
        if query[at] == "\\" and query[at + 1 : at + 2] in ('"', "\\"):
            at += 1
        text.append(query[at])
        at += 1
    return "".join(text), at + 1


def matches(query: TextQuery, haystack: str) -> bool:
    """Whether the text, whatever its case, contains what the query asks for."""
    text = haystack.lower()
    return (
        (not query.include or any(term in text for term in query.include))
        and not any(term in text for term in query.exclude)
        and all(term in text for term in query.required)
    )
