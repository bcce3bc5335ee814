"""JSON schemas (draft 2020-12) that may mean harm: no check takes more than :data:`MAX_SECONDS` of processor time.

A few lines of a schema can ask for work without end: patterns that backtrack, references that double at every level,
lists compared item by item with each other. So every keyword that is looked at asks first whether there is time left,
and patterns run in an engine that can be stopped.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import regex
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.validators import extend
from referencing import Registry

__all__ = ["MAX_PATTERN", "MAX_SECONDS", "Refused", "limited", "schema_error", "value_errors"]

MAX_SECONDS = 0.5
MAX_PATTERN = 4_000  # characters

_Keyword = Callable[[Any, Any, Any, Any], Any]

# When the time of the check that is going on is over, by the clock of the thread's processor time.
_end: ContextVar[float | None] = ContextVar("end", default=None)


class Refused(Exception):
    """The schema cannot be used, or not within the time; the text says why."""


@contextmanager
def limited() -> Iterator[None]:
    """Whatever is checked in here has the time of one check together."""
    if _end.get() is not None:
        yield
        return
    token = _end.set(time.thread_time() + MAX_SECONDS)
    try:
        yield
    finally:
        _end.reset(token)


def schema_error(schema: Any) -> str | None:
    """What makes this no schema; ``None`` if it is one. Raises Refused, RecursionError."""
    with limited():
        error = best_match(_SCHEMA_OF_SCHEMAS.iter_errors(schema))
        return None if error is None else str(error.message)


def value_errors(schema: Any, values: Any) -> list[ValidationError]:
    """All that is wrong with the values. References to other documents are never followed.

    Raises Refused, referencing.exceptions.Unresolvable, RecursionError.
    """
    if _mentions(schema, "unevaluatedProperties") and _mentions(schema, "patternProperties"):
        # The library matches these patterns where they cannot be stopped.
        raise Refused("unevaluatedProperties beside patternProperties is not supported.")
    with limited():
        # An empty registry: the default one would fetch what a $ref names.
        return list(_Validator(schema, registry=Registry()).iter_errors(values))


def _time_left() -> float:
    end = _end.get()
    assert end is not None
    left = end - time.thread_time()
    if left <= 0:
        raise Refused("checking it takes too long.")
    return left


def _mentions(value: Any, key: str) -> bool:
    if isinstance(value, Mapping):
        return key in value or any(_mentions(item, key) for item in value.values())
    return isinstance(value, list) and any(_mentions(item, key) for item in value)


# --- keywords ------------------------------------------------------------------------------------------


def _timed(keyword: _Keyword) -> _Keyword:
    def check(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
        _time_left()
        return keyword(validator, value, instance, schema)  # not a generator: it would cost a frame at each level

    return check


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    try:
        return regex.compile(pattern)
    except (regex.error, OverflowError, RecursionError) as error:
        raise Refused(f"{pattern!r} is not a regular expression: {error}") from error


def _found(pattern: str, text: str) -> bool:
    if len(pattern) > MAX_PATTERN:
        raise Refused(f"a pattern has more than {MAX_PATTERN} characters.")
    compiled = _compiled(pattern)
    try:
        return compiled.search(text, timeout=_time_left()) is not None
    except TimeoutError:
        raise Refused(f"the pattern {pattern!r} takes too long.") from None


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if validator.is_type(instance, "string") and not _found(pattern, instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if validator.is_type(instance, "object"):
        for pattern, part in patterns.items():
            for name, value in instance.items():
                if _found(pattern, name):
                    yield from validator.descend(value, part, path=name, schema_path=pattern)


def _additional_properties(validator: Any, additional: Any, instance: Any, schema: Any) -> Any:
    patterns = schema.get("patternProperties", {})
    if not patterns or not validator.is_type(instance, "object"):
        return Draft202012Validator.VALIDATORS["additionalProperties"](validator, additional, instance, schema)
    others = {
        name: value
        for name, value in instance.items()
        if name not in schema.get("properties", {}) and not any(_found(pattern, name) for pattern in patterns)
    }
    if additional is False and others:
        names = ", ".join(repr(name) for name in sorted(others))
        verb = "does" if len(others) == 1 else "do"
        known = ", ".join(repr(pattern) for pattern in sorted(patterns))
        return [ValidationError(f"{names} {verb} not match any of the regexes: {known}")]
    return (
        error for name, value in others.items() for error in validator.descend(value, additional, path=name)
    )  # fmt: skip


def _unique_items(validator: Any, unique: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if unique and validator.is_type(instance, "array") and len({_frozen(item) for item in instance}) < len(instance):
        yield ValidationError(f"{instance!r} has non-unique elements")


def _frozen(value: Any) -> Any:
    """Equal for what JSON Schema calls equal: 1 and 1.0, but not 1 and true."""
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, list | tuple):
        return ("list", *map(_frozen, value))
    if isinstance(value, Mapping):
        return ("dict", frozenset((name, _frozen(item)) for name, item in value.items()))
    return value


_Validator: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {
        name: _timed(keyword)
        for name, keyword in {
            **Draft202012Validator.VALIDATORS,
            "pattern": _pattern,
            "patternProperties": _pattern_properties,
            "additionalProperties": _additional_properties,
            "uniqueItems": _unique_items,
        }.items()
    },
)
_evolve = _Validator.evolve


def _evolve_here(self: Any, **changes: Any) -> Any:
    """A part that names a dialect of its own would be handed to that dialect's validator, which nothing stops."""
    schema = changes.get("schema", self.schema)
    if isinstance(schema, Mapping) and "$schema" in schema:
        changes["schema"] = {name: part for name, part in schema.items() if name != "$schema"}
    return _evolve(self, **changes)


_SCHEMA_OF_SCHEMAS = _Validator(Draft202012Validator.META_SCHEMA)
_Validator.evolve = _evolve_here
