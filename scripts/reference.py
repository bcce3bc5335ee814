"""Writes docs/reference, a page for each public module, from the code: ``python scripts/reference.py``.

``--check`` writes nothing and fails when the pages are not what the code says (part of ``make lint``). A page has every
name of the module's ``__all__`` with its signature and docstring, classes with the methods of their bases, too.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import sempre

PAGES = Path(__file__).parents[1] / "docs" / "reference"

# Rooms of the house; what is public of them is exported from elsewhere, or named below.
_ROOMS = ("cli", "client", "core", "db", "schemas", "sdk", "server", "settings", "workers", "__main__")
_MORE = ("sempre.client", "sempre.client.shipping", "sempre.client.streams", "sempre.settings")
# Faces of another class whose methods are the same.
_SAME_AS = {"SyncClient": "The methods of `Client`, to be called instead of awaited."}
_TAKEN_OUT = re.compile(r"\b(?:typing|collections\.abc|datetime|uuid|pathlib|sempre(?:\.\w+)+)\.(?=[A-Z])")
_ROLES = re.compile(r":\w+:`~?([^`]+)`")
_HEAD = "<!-- Made by `python scripts/reference.py` from docstrings and signatures: do not edit. -->\n\n"


def pages() -> dict[str, str]:
    """File name -> text."""
    modules = [importlib.import_module(name) for name in _public()]
    made = {f"{module.__name__}.md": _page(module) for module in modules}
    rows = [f"| [`{module.__name__}`]({module.__name__}.md) | {_first_line(module)} |" for module in modules]
    made["README.md"] = f"{_HEAD}# Reference\n\nWhat can be imported, by module.\n\n| Module | |\n|---|---|\n" + _lines(
        rows
    )
    return made


def _public() -> list[str]:
    found = ["sempre"]
    for info in pkgutil.walk_packages(sempre.__path__, "sempre."):
        room = info.name.split(".")[1]
        if room not in _ROOMS and not any(part.startswith("_") for part in info.name.split(".")):
            found.append(info.name)
    return sorted(name for name in [*found, *_MORE] if hasattr(importlib.import_module(name), "__all__"))


def _page(module: ModuleType) -> str:
    parts = [f"{_HEAD}# {module.__name__}\n\n{_doc(module)}"]
    values = []
    for name in sorted(module.__all__, key=str.lower):
        if name.startswith("__"):
            continue
        if name in getattr(module, "__annotations__", {}):  # made when it is asked for
            kind = _type(module.__annotations__[name]).replace("|", "\\|")
            values.append(f"| `{name}` | `{kind}` |")
            continue
        parts.append(_entry(name, getattr(module, name)))
    if values:
        parts.append("| Value | Type |\n|---|---|\n" + _lines(values))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts))


def _entry(name: str, thing: Any) -> str:
    if isinstance(thing, ModuleType):
        return f"## {name}\n\nThe module [`{thing.__name__}`]({thing.__name__}.md). {_first_line(thing)}\n"
    if inspect.isclass(thing):
        return _class(name, thing)
    if inspect.isroutine(thing) or hasattr(thing, "aio"):
        return f"## {name}\n\n```python\n{_signature(name, thing)}\n```\n\n{_doc(thing)}"
    kind = type(thing).__name__.lstrip("_")
    doc = _doc(thing) if type(thing).__module__.startswith("sempre") and type(thing).__doc__ else ""
    return f"## {name}\n\nA value of type `{kind}`. {doc}".rstrip() + "\n"


def _class(name: str, kind: type) -> str:
    bases = [base.__name__ for base in kind.__bases__ if base is not object and base.__name__ != "Generic"]
    shown = f"({', '.join(bases)})" if 0 < len(bases) <= 3 else ""
    text = f"## class {name}{shown}\n\n{_doc(kind)}"
    if name in _SAME_AS:
        return f"{text}\n{_SAME_AS[name]}\n"
    if issubclass(kind, BaseException):
        return text
    if issubclass(kind, enum.Enum):
        return text + "\nMembers: " + ", ".join(f"`{member}`" for member in kind.__members__) + ".\n"
    signature = _signature(name, kind)
    if (signature != f"{name}()" and "__init__" in vars(kind)) or hasattr(kind, "__dataclass_fields__"):
        text += f"\n```python\n{signature}\n```\n"
    return text + "".join(_members(kind))


def _members(kind: type) -> Iterator[str]:
    """Public methods and properties, in the order in which the classes have them."""
    seen: set[str] = set()
    for owner in (each for each in kind.__mro__ if each.__module__.startswith("sempre")):
        for name, raw in vars(owner).items():
            if name.startswith(("_", "model_")) or name in seen:
                continue
            seen.add(name)
            member: Any = raw.__func__ if isinstance(raw, staticmethod | classmethod) else raw
            if isinstance(member, property) or type(member).__name__ == "cached_property":
                getter = getattr(member, "fget", None) or member.func
                yield f"\n### {name}\n\n{_doc(getter)}" if getter.__doc__ else ""
            elif inspect.isfunction(member):
                yield (
                    f"\n### {name}\n\n```python\n{_signature(name, member)}\n```\n\n{_doc(member)}".rstrip("\n") + "\n"
                )


def _signature(name: str, thing: Any) -> str:
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        return f"{name}(...)"
    parameters = list(_parameters(signature))
    returned = signature.return_annotation
    returns = "" if returned is signature.empty or inspect.isclass(thing) else f" -> {_type(returned)}"
    inner = inspect.unwrap(thing)
    text = f"async {name}" if inspect.iscoroutinefunction(inner) and inner is thing else name
    plain = f"{text}({', '.join(parameters)}){returns}"
    rows = "".join(f"    {one},\n" for one in parameters)
    return plain if len(plain) <= 100 else f"{text}(\n{rows}){returns}"


def _parameters(signature: inspect.Signature) -> Iterator[str]:
    keywords_begin, positional = True, False
    for parameter in signature.parameters.values():
        if parameter.name in ("self", "cls"):
            continue
        if positional and parameter.kind is not parameter.POSITIONAL_ONLY:
            yield "/"
        positional = parameter.kind is parameter.POSITIONAL_ONLY
        kinds: dict[Any, str] = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}
        stars = kinds.get(parameter.kind, "")
        if parameter.kind is parameter.KEYWORD_ONLY and keywords_begin:
            yield "*"
        keywords_begin = keywords_begin and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.KEYWORD_ONLY)
        kind = "" if parameter.annotation is parameter.empty else f": {_type(parameter.annotation)}"
        default = "" if parameter.default is parameter.empty else f" = {_value(parameter.default)}"
        yield f"{stars}{parameter.name}{kind}{default}"


def _type(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return _TAKEN_OUT.sub("", text.strip("'").replace("~", ""))


def _value(default: Any) -> str:
    """A default without addresses, which differ from run to run."""
    text = repr(default)
    return getattr(default, "__name__", type(default).__name__) if " at 0x" in text else text


def _doc(thing: Any) -> str:
    text = inspect.getdoc(thing) or ""
    return _ROLES.sub(lambda role: f"`{role[1].rpartition('.')[2]}`", text.replace("``", "`")).strip() + "\n"


def _first_line(module: ModuleType) -> str:
    return _doc(module).split("\n\n")[0].strip().replace("\n", " ")


def _lines(rows: list[str]) -> str:
    return "\n".join(rows) + "\n"


def main() -> int:
    made = pages()
    found = {path.name: path.read_text() for path in PAGES.glob("*.md")}
    if "--check" not in sys.argv[1:]:
        PAGES.mkdir(parents=True, exist_ok=True)
        for name in found.keys() - made.keys():
            (PAGES / name).unlink()
        for name, text in made.items():
            (PAGES / name).write_text(text)
        return 0
    stale = sorted(name for name in made.keys() | found.keys() if made.get(name) != found.get(name))
    if stale:
        print(f"docs/reference is not what the code says ({', '.join(stale)}): python scripts/reference.py")
    return bool(stale)


if __name__ == "__main__":
    raise SystemExit(main())
