"""Placeholders in parameters: objects with ``__prefect_kind`` become the values they stand for."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from jinja2.exceptions import SecurityError

from sempre.core.templates import Budget, RenderError, render, validate_template

__all__ = [
    "KIND",
    "Deferred",
    "HydrationError",
    "Problem",
    "hydrate",
    "hydrate_keeping_problems",
    "hydrate_rendering",
    "placeholder_problems",
]

KIND = "__prefect_kind"

Hydrator = Callable[[Mapping[str, Any], "_Facts"], Any]


class HydrationError(ValueError):
    """A placeholder that stands for nothing; the text is what clients see."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What stands in a hydrated value where a placeholder failed."""

    message: str


@dataclass(frozen=True, slots=True)
class Deferred:
    """What stands where a template is good but rendered only later: it may become anything."""

    template: str


class _Removed:
    """A placeholder that takes its key or element away."""


_REMOVED = _Removed()


@dataclass(frozen=True, slots=True)
class _Facts:
    variables: Mapping[str, Any] | None  # None: every name is taken to exist
    render_templates: bool
    render: Callable[[str], Any] | None = None  # given: plain texts are templates too
    budget: Budget = field(default_factory=Budget)  # of all templates together


def hydrate(value: Any, variables: Mapping[str, Any]) -> Any:
    """The value with all placeholders replaced; ``variables`` are the workspace's, by name.

    A placeholder that removes itself leaves its object or list; the outermost leaves ``{}``.
    Raises :class:`HydrationError` with the text of the first placeholder that fails.
    """
    hydrated = hydrate_keeping_problems(value, variables)
    for _, problem in _walk(hydrated, ()):
        raise HydrationError(problem.message)
    try:
        orjson.dumps(hydrated)
    except TypeError as error:  # too deep, or a text from a template that is none
        raise HydrationError(str(error)) from error
    return hydrated


def hydrate_rendering(value: Any, variables: Mapping[str, Any], render: Callable[[str], Any]) -> Any:
    """Like :func:`hydrate`, where every text is a template, too. ``render`` gives the value of one.

    Raises HydrationError, and whatever ``render`` raises for a plain text.
    """
    hydrated = _root(value, _Facts(variables, True, render))
    for _, problem in _walk(hydrated, ()):
        raise HydrationError(problem.message)
    return hydrated


def hydrate_keeping_problems(value: Any, variables: Mapping[str, Any], render_templates: bool = True) -> Any:
    """Like :func:`hydrate`, but a :class:`Problem` stands where a placeholder failed.

    With ``render_templates=False`` templates are checked, and a :class:`Deferred` stands where one is good.
    """
    return _root(value, _Facts(variables, render_templates))


def placeholder_problems(value: Any) -> list[str]:
    """What is wrong with the placeholders of a value before its variables are known: ``path: message``, in order.

    Paths join keys with dots and give list positions in brackets (``a.b[1]``).
    """
    hydrated = _root(value, _Facts(None, render_templates=False))
    return [f"{_path(path)}: {problem.message}" if path else problem.message for path, problem in _walk(hydrated, ())]


def _root(value: Any, facts: _Facts) -> Any:
    hydrated = _hydrate(value, facts)
    return {} if hydrated is _REMOVED else hydrated


def _walk(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Problem]]:
    if isinstance(value, Problem):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _walk(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _walk(item, (*path, index))


def _path(path: tuple[str | int, ...]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def _hydrate(value: Any, facts: _Facts) -> Any:
    if isinstance(value, Mapping):
        if KIND in value:
            kind = value[KIND]
            hydrator = _KINDS.get(kind) if isinstance(kind, str) else None
            return hydrator(value, facts) if hydrator else _hydrate(value.get("value"), facts)
        items = ((key, _hydrate(item, facts)) for key, item in value.items())
        return {key: item for key, item in items if item is not _REMOVED}
    if isinstance(value, list):
        return [item for item in (_hydrate(element, facts) for element in value) if item is not _REMOVED]
    return facts.render(value) if facts.render is not None and isinstance(value, str) else value


def _none(placeholder: Mapping[str, Any], facts: _Facts) -> Any:
    if "value" not in placeholder:
        return Problem("Missing 'value' key in __prefect object")
    return _hydrate(placeholder["value"], facts)


def _json(placeholder: Mapping[str, Any], facts: _Facts) -> Any:
    if "value" not in placeholder:
        return _REMOVED
    value = placeholder["value"]
    if isinstance(value, Mapping):
        value = _hydrate(value, facts)
    if not isinstance(value, str):
        return value
    try:
        content = json.loads(value)
        orjson.dumps(content)  # refuses what could not be stored or given back
    except (ValueError, RecursionError, TypeError) as error:
        return Problem(f"Invalid JSON: {error}")
    return content


def _jinja(placeholder: Mapping[str, Any], facts: _Facts) -> Any:
    if "template" not in placeholder:
        return Problem("Missing 'template' key in __prefect object")
    template = placeholder["template"]
    if isinstance(template, Mapping):
        template = _hydrate(template, facts)
    if not isinstance(template, str):
        return template
    try:
        facts.budget.begin(template)
    except SecurityError as error:
        return Problem(f"Invalid jinja: with the other templates, {error}")
    problem = validate_template(template)
    if problem is not None:
        return Problem(f"Invalid jinja: {problem.message}")
    if not facts.render_templates:
        return Deferred(template)
    try:
        return facts.render(template) if facts.render else render(template, {}, budget=facts.budget)
    except RenderError as error:
        return Problem(f"Invalid jinja: {error}")


def _workspace_variable(placeholder: Mapping[str, Any], facts: _Facts) -> Any:
    if "variable_name" not in placeholder:
        return _REMOVED
    name = placeholder["variable_name"]
    if isinstance(name, Mapping):
        name = _hydrate(name, facts)
    if isinstance(name, Problem | Deferred) or name is _REMOVED:
        return name
    if facts.variables is None:
        return None
    if not isinstance(name, str) or name not in facts.variables:
        return Problem(f"Variable '{name}' not found in workspace.")
    found = facts.variables[name]
    try:
        facts.budget.take(len(json.dumps(found)))
    except OverflowError as error:
        return Problem(f"Variable '{name}' cannot be filled in: {error}")
    return found


_KINDS: dict[str, Hydrator] = {
    "none": _none,
    "json": _json,
    "jinja": _jinja,
    "workspace_variable": _workspace_variable,
}
