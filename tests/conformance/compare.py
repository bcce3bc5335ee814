"""Compares recorded with actual bodies, learning on the way which id stands for which."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.conformance.traces import TIME, UUID, parse_time

VOLATILE = frozenset(
    {
        "estimated_run_time", "estimated_start_time_delta", "total_run_time", "lateness_seconds", "delay_seconds",
        "infrastructure_pid", "average_lateness", "late_runs_count", "version", "exception_message", "anchor_date",
        "slot_decay_per_second", "avg_slot_occupancy_seconds", "schedule_after", "code_example",
        "deployment_concurrency_lease_id",
    }
)  # fmt: skip
"""Keys whose values depend on the moment or on the machine; their types are compared still."""

NULLABLE = frozenset(
    {"last_heartbeat_time", "last_polled", "expected_start_time", "next_scheduled_start_time", "estimated_run_time"}
)
"""Keys that are null or not according to how fast services were."""

LIVENESS = frozenset({"READY", "NOT_READY"})
"""Whether something polled within the last minute: a replay is faster than the recording."""

DELIBERATE = {
    "description": "the built-in block types are described in our own words",
    "code_example": "and with no examples of other people's code",
    "documentation_url": "nor do they link to other people's pages",
    "logo_url": "or pictures",
}
"""Keys of protected block types that differ on purpose, and why."""

ADDED = {
    "transition_id": "a state put in place of the proposed one remembers the proposal, which may be repeated",
    "worker_id": "the worker channel names its worker, which a process of the same name is told from by it",
}
"""Keys that were recorded as null and have a value on purpose, and why."""

GENERATED_NAME = re.compile(r"^[a-z]+-[a-z]+$")
HOUR = timedelta(hours=12)


@dataclass
class Ids:
    """Recorded -> actual names of things, over all traces of one replay."""

    known: dict[str, str] = field(default_factory=dict)

    def copy(self) -> Ids:
        return Ids(dict(self.known))

    def outgoing(self, text: str) -> str:
        """A request's text with actual ids. A client-made id gets a fresh tail, so that a replay can be repeated."""

        def swap(match: re.Match[str]) -> str:
            recorded = match.group()
            if recorded not in self.known:
                nil = set(recorded) <= set("0-")
                self.known[recorded] = recorded if nil else recorded[:24] + secrets.token_hex(6)
            return self.known[recorded]

        return self.known.get(text) or UUID.sub(swap, text)


def outgoing(value: Any, ids: Ids, epoch: datetime | None, shift: timedelta) -> Any:
    """A recorded request body as it is sent now: actual ids, and times near the recording moved by `shift`."""
    if isinstance(value, dict):
        return {ids.outgoing(key): outgoing(item, ids, epoch, shift) for key, item in value.items()}
    if isinstance(value, list):
        return [outgoing(item, ids, epoch, shift) for item in value]
    if not isinstance(value, str):
        return value
    if TIME.fullmatch(value) and epoch:
        moment = parse_time(value)
        if abs(moment - epoch) < HOUR or value.endswith("+00:00"):
            moved = (moment + shift).isoformat(sep=value[10])
            return moved.replace("+00:00", "Z") if value.endswith("Z") else moved
    return ids.outgoing(value)


class Comparison:
    """One body against another. `found` holds one line per difference: path, what was recorded, what came."""

    def __init__(self, ids: Ids) -> None:
        self.ids = ids
        self.found: list[str] = []

    def compare(self, recorded: Any, actual: Any, path: str = "$") -> None:
        key = path.rpartition(".")[2].partition("[")[0]
        if isinstance(recorded, dict) and recorded.get("__cut__"):
            return
        if recorded is None or actual is None:
            if recorded is not actual and key not in NULLABLE and not (recorded is None and key in ADDED):
                self.differ(path, recorded, actual)
        elif isinstance(recorded, dict) and isinstance(actual, dict):
            self._objects(recorded, actual, path)
        elif isinstance(recorded, list) and isinstance(actual, list):
            self._lists(recorded, actual, path)
        elif isinstance(recorded, str) and isinstance(actual, str):
            self._texts(recorded, actual, path, key)
        elif _kind(recorded) != _kind(actual) or (recorded != actual and key not in VOLATILE):
            self.differ(path, recorded, actual)

    def differ(self, path: str, recorded: Any, actual: Any) -> None:
        self.found.append(f"{path}: recorded {_short(recorded)}, got {_short(actual)}")

    def _objects(self, recorded: dict[str, Any], actual: dict[str, Any], path: str) -> None:
        translated = {self.ids.known.get(key, key): value for key, value in recorded.items()}
        for key in translated.keys() - actual.keys():
            self.found.append(f"{path}.{key}: missing, recorded {_short(translated[key])}")
        for key in actual.keys() - translated.keys():
            self.found.append(f"{path}.{key}: not in the recording, got {_short(actual[key])}")
        deliberate = DELIBERATE.keys() if actual.get("is_protected") else ()
        # Ids first: the rest of an object often repeats them.
        for key in sorted(translated.keys() & actual.keys() - deliberate, key=lambda name: (name != "id", name)):
            self.compare(translated[key], actual[key], f"{path}.{key}")

    def _lists(self, recorded: list[Any], actual: list[Any], path: str) -> None:
        if path.endswith((".tags", ".pause_keys")) and all(isinstance(item, str) for item in recorded):
            recorded, actual = sorted(recorded), sorted(map(str, actual))
        by_id = {item["id"]: item for item in actual if isinstance(item, dict) and isinstance(item.get("id"), str)}
        if recorded and len(by_id) == len(actual) and all(self._identified(item) for item in recorded):
            for item in recorded:
                match = by_id.pop(self.ids.known[item["id"]], None)
                if match is None:
                    self.found.append(f"{path}: lacks {_short(item)}")
                else:
                    self.compare(item, match, f"{path}[]")
            if by_id:
                example = _short(next(iter(by_id.values())))
                self.found.append(f"{path}: {len(by_id)} more than recorded, such as {example}")
            return
        if len(recorded) != len(actual):
            self.found.append(f"{path}: recorded {len(recorded)} items, got {len(actual)}")
        for index, (one, other) in enumerate(zip(recorded, actual, strict=False)):
            self.compare(one, other, f"{path}[{index}]")

    def _identified(self, item: Any) -> bool:
        return isinstance(item, dict) and item.get("id") in self.ids.known

    def _texts(self, recorded: str, actual: str, path: str, key: str) -> None:
        if UUID.fullmatch(recorded) and UUID.fullmatch(actual):
            known = self.ids.known.setdefault(recorded, actual)
            if known != actual and key != "id":
                self.differ(path, f"{recorded} (now {known})", actual)
            elif known != actual:
                # Another object than the recorded one stands here; later requests mean the newest.
                self.ids.known[recorded] = actual
            return
        if key == "name" and GENERATED_NAME.match(recorded) and GENERATED_NAME.match(actual):
            self.ids.known.setdefault(recorded, actual)
            return
        if key in VOLATILE or {recorded, actual} == LIVENESS:
            return
        # A text may have been made by the server, with the actual name in it, or by the client, with the recorded one.
        if self._plain(actual, {}) not in (self._plain(recorded, self.ids.known), self._plain(recorded, {})):
            self.differ(path, recorded, actual)

    def _plain(self, text: str, known: dict[str, str]) -> str:
        """Text without what legitimately differs: ids, times, addresses."""
        text = TIME.sub("<time>", UUID.sub("<id>", known.get(text, text)))
        for name, now in known.items():
            if len(name) != 36 and name in text:
                text = text.replace(name, now)
        return re.sub(r"127\.0\.0\.1:\d+", "<address>", text)


def _kind(value: Any) -> type:
    # JSON has one number type; a whole float may be written either way.
    return float if isinstance(value, int) and not isinstance(value, bool) else type(value)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 160 else text[:157] + "..."
