"""What an automation must do with a stream of events, written from the specification (events-and-automations, sections
1.1, 9 and 12) and from nothing else: plain lists and dicts, one step after the other, as slow as it likes to be.

Triggers and events are documents as the API has them; times are whole microseconds.
"""

import fnmatch
import re
from collections.abc import Iterator
from typing import Any

__all__ = ["SECOND", "Oracle", "leaves_of"]

SECOND = 1_000_000
_LOOK_BACK = 15 * 60 * SECOND

Document = dict[str, Any]


def leaves_of(trigger: Document) -> list[Document]:
    """The event triggers of a tree, as declared."""
    if trigger["type"] == "event":
        return [trigger]
    return [leaf for child in trigger["triggers"] for leaf in leaves_of(child)]


class Oracle:
    """One automation. ``fired`` is what it said: firings of its root trigger, each
    ``{trigger, time, labels, event, firings}``."""

    def __init__(self, trigger: Document, since: int = 0) -> None:
        self.root = trigger
        self.leaves = leaves_of(trigger)
        self.parents = dict(_parents(trigger))
        self.windows: dict[str, dict[tuple[str, ...], Document]] = {leaf["id"]: {} for leaf in self.leaves}
        self.stored: dict[str, list[Document]] = {}
        self.next_run = {leaf["id"]: since for leaf in self.leaves if leaf["posture"] == "Proactive"}
        self.last_time = -1
        self.fired: list[Document] = []

    # --- events (9.2) ------------------------------------------------------------------------------------

    def see(self, event: Document, wall: int) -> None:
        """An event has come; what fires because of it does so at ``wall``."""
        for leaf in self.leaves:
            if _interested(leaf, event):
                self._look(leaf, event, wall)

    def _look(self, leaf: Document, event: Document, wall: int) -> None:
        after = _any_name(leaf["after"], event["event"])
        expected = not leaf["expect"] or _any_name(leaf["expect"], event["event"])
        windows = self.windows[leaf["id"]]
        key = tuple(_referred(event, label) for label in sorted(leaf["for_each"]))
        now, within = event["occurred"], _micro(leaf["within"])
        opened: Document | None = None
        if after:
            opened = {"start": now, "end": now + within, "count": -1 if expected else 0}
        elif not leaf["after"] and expected:
            opened = {"start": now - _LOOK_BACK, "end": now + within, "count": 0}
        if opened is not None:
            windows.setdefault(key, opened)["last"] = event["id"]
        if expected and key in windows:
            self._judge(leaf, key, now, wall, event)

    def _judge(self, leaf: Document, key: tuple[str, ...], now: int, wall: int, event: Document | None) -> None:
        windows = self.windows[leaf["id"]]
        window = windows[key]
        if now < window["start"]:
            return
        reactive, within = leaf["posture"] == "Reactive", _micro(leaf["within"])
        pending = False
        if event is not None:
            if (reactive and within == 0) or window["start"] <= now < window["end"]:
                window["count"] += 1
                window["last"] = event["id"]
            else:
                pending = True
        eligible = reactive or window["end"] <= now
        met = window["count"] >= leaf["threshold"] if reactive else window["count"] < leaf["threshold"]
        if eligible and met:
            del windows[key]
            labels = dict(zip(sorted(leaf["for_each"]), key, strict=True))
            self._fire(leaf, wall, labels, event["id"] if event is not None else window["last"], [])
        elif now < window["end"]:
            both = event is not None and _any_name(leaf["after"], event["event"])
            if not reactive and not met and both and event is not None:
                windows[key] = {"start": now, "end": now + within, "count": 0, "last": event["id"]}
            return
        if leaf["after"]:
            windows.pop(key, None)
            return
        if within == 0:
            return
        start = max(window["end"], now)
        again = reactive and pending
        windows[key] = {
            "start": start,
            "end": start + within,
            "count": 1 if pending and not again else 0,
            "last": None,
        }
        if again:
            self._judge(leaf, key, now, wall, event)

    # --- what does not come (9.3) ------------------------------------------------------------------------

    def due(self, wall: int) -> list[str]:
        return [id for id, at in self.next_run.items() if at <= wall]

    def tick(self, wall: int, as_of: int) -> None:
        """One round of the proactive loop."""
        due = self.due(wall)
        for leaf in self.leaves:
            if leaf["id"] in due:
                self._run(leaf, wall, as_of)

    def _run(self, leaf: Document, wall: int, as_of: int) -> None:
        windows, within = self.windows[leaf["id"]], _micro(leaf["within"])
        if not leaf["for_each"]:
            windows.setdefault((), {"start": as_of, "end": as_of + within, "count": 0, "last": None})
        for key in [key for key, window in windows.items() if window["count"] >= leaf["threshold"]]:
            del windows[key]
        for key in sorted(windows, key=lambda key: (windows[key]["start"], key)):
            self._judge(leaf, key, as_of, wall, None)
        if not leaf["for_each"] and not leaf["after"]:
            # A decision of ours: where the reference would open the next window only a window later, it opens now, so
            # that a trigger that counts everything together never looks away.
            windows.setdefault((), {"start": as_of, "end": as_of + within, "count": 0, "last": None})
        ends = [window["end"] for window in windows.values() if as_of < window["end"] < as_of + within]
        self.next_run[leaf["id"]] = min(ends, default=as_of + within)

    def sweep(self, before: int) -> None:
        """Forget the windows that ended by then; those that wait for what does not come are evaluated, never swept."""
        for leaf in self.leaves:
            if leaf["posture"] == "Reactive":
                windows = self.windows[leaf["id"]]
                for key in [key for key, window in windows.items() if window["end"] <= before]:
                    del windows[key]

    # --- composites (9.4) --------------------------------------------------------------------------------

    def _fire(
        self, trigger: Document, wall: int, labels: dict[str, str], event: str | None, firings: list[Document]
    ) -> None:
        # Firings of one automation never share an instant: what fires later is later.
        self.last_time = max(wall, self.last_time + 1)
        firing = {
            "trigger": trigger["id"],
            "time": self.last_time,
            "labels": labels,
            "event": event,
            "firings": firings,
        }
        parent = self.parents.get(trigger["id"])
        if parent is None:
            self.fired.append(firing)
        else:
            self._reach(parent, firing, wall)

    def _reach(self, parent: Document, firing: Document, wall: int) -> None:
        children = [child["id"] for child in parent["triggers"]]
        needed = _needed(parent)
        if needed == 1:
            self._fire(parent, wall, {}, firing["event"], [firing])
            return
        held = [one for one in self.stored.get(parent["id"], []) if one["trigger"] != firing["trigger"]]
        if parent["within"] is not None:
            oldest = firing["time"] - _micro(parent["within"])
            held = [one for one in held if one["time"] >= oldest]
        held.append(firing)
        self.stored[parent["id"]] = held
        if parent["type"] == "sequence":
            ready = [one["trigger"] for one in sorted(held, key=lambda one: int(one["time"]))] == children
        else:
            ready = len(held) >= needed
        if ready:
            self.stored[parent["id"]] = []
            self._fire(parent, wall, {}, firing["event"], held)


def _parents(trigger: Document) -> Iterator[tuple[str, Document]]:
    for child in trigger.get("triggers", ()):
        yield child["id"], trigger
        yield from _parents(child)


def _needed(parent: Document) -> int:
    if parent["type"] == "sequence" or parent["require"] == "all":
        return len(parent["triggers"])
    return 1 if parent["require"] == "any" else int(parent["require"])


def _micro(seconds: float) -> int:
    return round(seconds * SECOND)


# --- matching (1.1) --------------------------------------------------------------------------------------


def _interested(leaf: Document, event: Document) -> bool:
    named = not leaf["expect"] or _any_name(leaf["expect"], event["event"]) or _any_name(leaf["after"], event["event"])
    related = leaf["match_related"]
    specs = related if isinstance(related, list) else [related]
    return (
        named
        and _fits(leaf["match"], event["resource"])
        and all(not spec or any(_fits(spec, one) for one in event["related"]) for spec in specs)
    )


def _any_name(patterns: list[str], name: str) -> bool:
    return any(
        re.fullmatch(".+".join(re.escape(part) for part in pattern.split("*")), name, re.DOTALL) for pattern in patterns
    )


def _fits(spec: Document, resource: dict[str, str]) -> bool:
    for label, patterns in spec.items():
        wanted = patterns if isinstance(patterns, list) else [patterns]
        if label not in resource or not any(_globs(pattern, resource[label]) for pattern in wanted):
            return False
    return True


def _globs(pattern: str, value: str) -> bool:
    if pattern.startswith("!"):
        return not fnmatch.fnmatchcase(value, pattern[1:])
    return fnmatch.fnmatchcase(value, pattern)


def _referred(event: Document, reference: str) -> str:
    if not reference.startswith("related:"):
        return str(event["resource"].get(reference, ""))
    _, role, label = reference.split(":", 2)
    for one in event["related"]:
        if one["prefect.resource.role"] == role:
            return str(one.get(label, ""))
    return ""
