"""How one setting is declared: a dataclass field that carries its documentation, aliases, parser and bounds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

_KEY = "sempre.setting"
_UNSET: Any = object()


@dataclass(frozen=True, kw_only=True)
class FieldSpec:
    """What a field says about itself beside its type and default.

    `aliases` are full environment names beyond the derived ones; `suffixes` replace the upper-cased field name in
    the section's compatibility prefixes when the peer calls the setting differently.
    """

    doc: str
    aliases: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    name: str | None = None
    secret: bool = False
    parse: Callable[[str], Any] | None = None
    minimum: float | None = None
    maximum: float | None = None


def setting(
    default: T = _UNSET,
    doc: str = "",
    *,
    factory: Callable[[], T] | None = None,
    aliases: tuple[str, ...] = (),
    suffixes: tuple[str, ...] = (),
    name: str | None = None,
    secret: bool = False,
    parse: Callable[[str], Any] | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
) -> T:
    """Declare a setting. A secret never shows in `repr`, error messages or listings."""
    spec = FieldSpec(
        doc=doc,
        aliases=aliases,
        suffixes=suffixes,
        name=name,
        secret=secret,
        parse=parse,
        minimum=minimum,
        maximum=maximum,
    )
    metadata = {_KEY: spec}
    declared: Any
    if factory is not None:
        declared = field(default_factory=factory, metadata=metadata, repr=not secret)
    else:
        declared = field(default=default, metadata=metadata, repr=not secret)
    result: T = declared
    return result


def spec_of(declared: dataclasses.Field[Any]) -> FieldSpec | None:
    """The spec of a dataclass field, or None for a sub-section."""
    spec = declared.metadata.get(_KEY)
    return spec if isinstance(spec, FieldSpec) else None


def default_of(declared: dataclasses.Field[Any]) -> Any:
    """The value a field takes when nobody sets it."""
    if declared.default_factory is not dataclasses.MISSING:
        return declared.default_factory()
    return declared.default
