"""A deployment written into the text of a project file, which stays as its author wrote it everywhere else.

What is new is put between lines that are not touched. A deployment that changes is merged into what is there, so that
its comments, order and quotes stay as well. Whatever comes out is read again and held against what it has to say:
anchors, merge keys and flow style make the neat way wrong now and then, and there is a plainer one behind it.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

__all__ = ["with_deployment"]

_DASH = re.compile(r"([ ]*)-[ ]+\Z")


class _Item(NamedTuple):
    """A deployment in the text: its lines from `start` to before `end`."""

    start: int
    end: int
    dash: int
    """The column of its dash."""
    content: int
    """The column of its keys."""


class _Place(NamedTuple):
    """The list of deployments: its value from `start` to before `end`; items only where each has lines of its own."""

    start: int
    end: int
    items: list[_Item]


def with_deployment(text: str, deployment: Mapping[str, Any], number: int | None) -> str:
    """The text of a project file with a deployment in place of the one of this number (from 0), or after the last.

    `text` is YAML of a mapping. Raises ValueError if no way of writing it says what was meant.
    """
    import yaml

    wanted = yaml.safe_load(text) or {}
    there = list(wanted.get("deployments") or [])
    before = None if number is None else there[number]
    wanted["deployments"] = (
        [*there, dict(deployment)] if number is None else [*there[:number], dict(deployment), *there[number + 1 :]]
    )
    for attempt in _attempts(text, deployment, number, before):
        try:
            if (made := attempt()) is not None and _same(yaml.safe_load(made), wanted):
                return made
        except (yaml.YAMLError, KeyError):  # an alias whose anchor went away, a key that is not the mapping's own
            continue
    raise ValueError("no way of writing the deployment into it reads as what was meant")


def _attempts(
    text: str, deployment: Mapping[str, Any], number: int | None, before: Any
) -> Iterator[Callable[[], str | None]]:
    if number is None:
        yield lambda: _appended(text, deployment)
    else:
        yield lambda: _spliced(text, lambda all_: _merge(all_[number], before, deployment), number)
        yield lambda: _spliced(text, lambda all_: _put(all_, number, _fresh(deployment)), number)
        yield lambda: _rewritten(text, lambda all_: _merge(all_[number], before, deployment))
    yield lambda: _rewritten(text, lambda all_: _put(all_, number, _fresh(deployment)))


def _appended(text: str, deployment: Mapping[str, Any]) -> str | None:
    """With the deployment below the last one; None where the list is in flow style."""
    text += "" if not text or text.endswith("\n") else "\n"
    place = _place(text)
    if place is None:
        return f"{text}deployments:\n{_dumped([deployment])}"
    if place.items:
        last = place.items[-1]
        at = _own_comments_end(text, last)
        apart = len(place.items) > 1 and "\n\n" in text[place.items[-2].end - 1 : last.start]
        lines = textwrap.indent(_dumped([deployment]), " " * last.dash)
        return text[:at] + ("\n" if apart else "") + lines + text[at:]
    if text[place.start : place.end].strip("[]~ \n") not in ("", "null"):
        return None
    comment, _, below = text[place.end :].partition("\n")
    return f"{text[: place.start].rstrip()}{comment}\n{_dumped([deployment])}{below}"


def _own_comments_end(text: str, item: _Item) -> int:
    """Where what belongs to an item ends: comments below it that are further in than its dash are its own."""
    end = item.end
    for line in text[item.end :].splitlines(keepends=True):
        bare = line.lstrip(" ")
        if not bare.startswith("#") or len(line) - len(bare) <= item.dash:
            break
        end += len(line)
    return end


def _spliced(text: str, change: Callable[[Any], None], number: int) -> str | None:
    """With the lines of one deployment replaced; None where it has no lines of its own."""
    place = _place(text)
    if place is None or not place.items:
        return None
    item = place.items[number]
    # What comes after is left out, for comments below a mapping hang on its last value.
    written = _rewritten(text[: item.end], change)
    found = _place(written)
    if found is None or not found.items:
        return None
    lines = written[found.items[number].start :].rstrip("\n")
    return f"{text[: item.start]}{lines}\n{text[item.end :]}"


def _rewritten(text: str, change: Callable[[Any], None]) -> str:
    """The whole document written anew, comments included, indented like its deployments."""
    place = _place(text)
    round_trip = _round_trip(place.items[-1] if place and place.items else None)
    told = round_trip.load(text)
    if not isinstance(told.get("deployments"), list):
        told["deployments"] = []
    change(told["deployments"])
    out = io.StringIO()
    round_trip.dump(told, out)
    return out.getvalue()


def _round_trip(like: _Item | None = None) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.resolver import VersionedResolver

    class AsWritten(VersionedResolver):
        """Plain scalars are texts, so that `~`, `yes`, `0x1F` and `1e3` come out as they went in."""

        versioned_resolver = {  # noqa: RUF012 - a property of the class above
            "": [("tag:yaml.org,2002:null", re.compile(r"\Z"))],
            "<": [("tag:yaml.org,2002:merge", re.compile(r"<<\Z"))],
        }

    made = YAML()
    made.Resolver = AsWritten
    made.preserve_quotes = True
    made.width = 2**31  # lines stay as long as they are
    if like is not None:
        made.indent(mapping=2, sequence=like.content, offset=like.dash)
    return made


def _place(text: str) -> _Place | None:
    """Where the deployments stand; None if the mapping has none."""
    import yaml

    events = list(yaml.parse(text, Loader=yaml.SafeLoader))
    at = 3  # past the starts of stream, document and mapping
    while at < len(events) and isinstance(events[at], yaml.NodeEvent):
        value = _after(events, at)
        if getattr(events[at], "value", None) == "deployments":
            return _place_of(text, events[value : _after(events, value)])
        at = _after(events, value)
    return None


def _place_of(text: str, events: list[Any]) -> _Place:
    """`events` are those of the list, its start and end included."""
    spans = []
    at = 1
    while at < len(events) - 1:
        behind = _after(events, at)
        spans.append((events[at].start_mark.index, _end(events[at:behind])))
        at = behind
    items = [_item(text, start, end) for start, end in spans]
    own_lines = [each for each in items if each is not None]
    start = events[0].start_mark.index
    return _Place(start, max(start, _end(events)), own_lines if len(own_lines) == len(items) else [])


def _item(text: str, start: int, end: int) -> _Item | None:
    line = text.rfind("\n", 0, start) + 1
    dash = _DASH.match(text[line:start])
    if dash is None:
        return None
    newline = text.find("\n", len(text[:end].rstrip()))
    return _Item(line, len(text) if newline < 0 else newline + 1, len(dash[1]), start - line)


def _after(events: list[Any], at: int) -> int:
    """The index behind the node that begins at this one."""
    import yaml

    depth = 0
    while True:
        depth += isinstance(events[at], yaml.CollectionStartEvent) - isinstance(events[at], yaml.CollectionEndEvent)
        at += 1
        if depth == 0:
            return at


def _end(events: list[Any]) -> int:
    """Where the last thing that is written of a node ends. Ends of blocks are not: they lie where the next begins."""
    return max((each.end_mark.index for each in events if each.end_mark.index > each.start_mark.index), default=0)


def _merge(node: Any, before: Any, after: Any) -> None:
    """Make a node, which reads as `before`, say what `after` says, and touch nothing that says it already."""
    if isinstance(after, Mapping):
        for key in [key for key in before if key not in after]:
            del node[key]
        for key, value in after.items():
            if key in before and _same(before[key], value):
                continue
            if key in before and key not in node:
                raise KeyError(key)  # one that is no text: `1: x`
            _merge_at(node, key, before.get(key), value)
        return
    for number in reversed(range(len(before))):
        if not any(_same(before[number], value) for value in after):
            node.pop(number)
    kept = [each for each in before if any(_same(each, value) for value in after)]
    for number, value in enumerate(after):
        if number >= len(kept) or not _same(kept[number], value):
            node.insert(number, _fresh(value))
            kept.insert(number, value)
    for _ in kept[len(after) :]:
        node.pop()


def _merge_at(node: Any, key: Any, before: Any, after: Any) -> None:
    alike = any(isinstance(before, kind) and isinstance(after, kind) for kind in (dict, list))
    own = dict(node.non_merged_items()).get(key)
    # What has an anchor, or comes from one by `<<`, is seen elsewhere, too.
    if alike and before and after and own is not None and own.anchor.value is None:
        _merge(own, before, after)
    else:
        node[key] = _fresh(after)


def _put(all_: Any, number: int | None, made: Any) -> None:
    if number is None:
        all_.append(made)
    else:
        all_[number] = made


def _fresh(value: Any) -> Any:
    """A value as nodes, quoted as whoever reads it (YAML 1.1: `yes`, `12:30`) needs it."""
    return _round_trip().load(_dumped(value))


def _dumped(value: Any) -> str:
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text_of(dumper: Any, text: str) -> Any:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)

    Dumper.add_representer(str, text_of)
    return str(yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120))


def _same(one: Any, other: Any) -> bool:
    """Equal, and of the same types: 1 is neither true nor 1.0."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and bool(one == other)
