"""The list of every setting in a tree of sections."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from sempre.settings.fields import FieldSpec, default_of, spec_of
from sempre.settings.parse import parse_bool, parse_duration, parse_float, parse_int, parse_list, parse_path


@dataclass(frozen=True, kw_only=True)
class SettingInfo:
    """One setting: `path` in the tree, the documented `name`, `aliases` in order of precedence, and the rest."""

    path: str
    name: str
    aliases: tuple[str, ...]
    type: str
    default: Any
    doc: str
    secret: bool
    parse: Callable[[str], Any]
    spec: FieldSpec


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, types.UnionType):
        return next(part for part in get_args(annotation) if part is not type(None))
    return annotation


def _parser(field_name: str, annotation: Any, spec: FieldSpec) -> tuple[str, Callable[[str], Any]]:
    """(type shown to people, parser) of a field."""
    bare = _without_none(annotation)
    shown: str
    parse: Callable[[str], Any]
    if bare is float and field_name.endswith("_seconds"):
        shown, parse = "duration", parse_duration
    elif get_origin(bare) is tuple:
        shown, parse = "list", parse_list
    elif get_origin(bare) is dict:
        shown, parse = "json", parse_list
    else:
        known: dict[Any, tuple[str, Callable[[str], Any]]] = {
            bool: ("bool", parse_bool),
            int: ("int", parse_int),
            float: ("float", parse_float),
            str: ("str", str),
            Path: ("path", parse_path),
        }
        shown, parse = known[bare]
    return shown, spec.parse or parse


def _names(section: Any, declared: dataclasses.Field[Any], spec: FieldSpec) -> tuple[str, tuple[str, ...]]:
    upper = declared.name.upper()
    name = f"SEMPRE_{spec.name or section.prefix + upper}"
    suffixes = spec.suffixes or (upper,)
    # Canonical names of every suffix come before legacy ones: canonical wins when both are set.
    derived = () if spec.name else tuple(f"{prefix}{suffix}" for prefix in section.compatible for suffix in suffixes)
    return name, (*derived, *spec.aliases)


def walk(section: Any, path: str = "") -> Iterator[SettingInfo]:
    """Every setting of a section and of those below it, in their order."""
    hints = get_type_hints(section)
    for declared in dataclasses.fields(section):
        here = f"{path}{declared.name}"
        spec = spec_of(declared)
        if spec is None:
            if dataclasses.is_dataclass(hints[declared.name]):
                yield from walk(hints[declared.name], f"{here}.")
            continue
        name, aliases = _names(section, declared, spec)
        shown, parse = _parser(declared.name, hints[declared.name], spec)
        yield SettingInfo(
            path=here,
            name=name,
            aliases=aliases,
            type=shown,
            default=default_of(declared),
            doc=spec.doc,
            secret=spec.secret,
            parse=parse,
            spec=spec,
        )


def all_names(infos: Iterable[SettingInfo]) -> frozenset[str]:
    """Every name, documented or alias, by which one of these settings can be set."""
    return frozenset(name for info in infos for name in (info.name, *info.aliases))
