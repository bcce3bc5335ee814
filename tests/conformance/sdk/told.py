"""Events as they are compared: without what differs between any two runs of the same thing, and what is ours to say."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

import httpx

from tests.support.runs import Json, checked

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Values that are moments, counters of the machine, or texts.
_VALUES = (
    "prefect.version", "prefect.state-message", "prefect.state-timestamp", "prefect.infrastructure.identifier",
)  # fmt: skip
_BEAT = "prefect.flow-run.heartbeat"
_OWN = re.compile(
    r"/validated_state/(state_details/untrackable_result|data/(prefect_version|storage(/.*)?))$|/task_run/cache_key$"
)
_TASK_RUN = re.compile(r"-[0-9a-f]{3}$")


def events_about(api: httpx.Client, *resources: str) -> list[Json]:
    """Events with any of these resources, as what they are about or related to, in the order in which they occurred."""
    wanted = {"any_resource": {"id": list(resources)}, "order": "ASC"}
    page = checked(api.post("/events/filter", json={"filter": wanted, "limit": 50}))
    found = list(page["events"])
    while page["next_page"]:
        page = checked(api.get(page["next_page"]))
        found += page["events"]
    return sorted(found, key=lambda event: str(event["occurred"]))


def comparable(events: list[Json], names: Mapping[str, str], without: Collection[str] = ()) -> dict[str, list[Json]]:
    """By what they are about, and for which run: different processes tell of different things at any time.

    `names` stand for ids; `*` stands for other ids. Of payloads only the names are compared, on every level. What
    follows an event `without` which they are compared follows the one before that.
    """
    known = {event["id"]: event for event in events}

    def followed(event: Json) -> str | None:
        before = known.get(event["follows"])
        if before is None or before["event"] not in without:
            return event["follows"] if before is None else str(before["event"])
        return followed(before)

    found = defaultdict(list)
    for event in events:
        if event["event"] in without:
            continue
        related = [_resource(each) for each in event["related"]]
        told = {
            "event": event["event"],
            "resource": _resource(event["resource"]),
            "related": sorted(related, key=lambda each: json.dumps(each, sort_keys=True)),
            "payload": sorted(set(_paths(event["payload"]))),
            "follows": followed(event),
        }
        plain = json.loads(_UUID.sub(lambda match: names.get(match[0], "*"), json.dumps(told)))
        runs = [each["prefect.resource.id"] for each in plain["related"] if each["prefect.resource.role"] == "flow-run"]
        found[" for ".join([plain["resource"]["prefect.resource.id"], *runs])].append(plain)
    return dict(found)


def as_stock(told: dict[str, list[Json]]) -> dict[str, list[Json]]:
    """Without what is different on purpose: docs/sdk.md has the reasons."""
    return {about: _pulse_first([_plainer(event) for event in events]) for about, events in told.items()}


def _pulse_first(events: list[Json]) -> list[Json]:
    """Hearts beat before a run is Running, while it may have to wait for its turn."""
    beats = [event for event in events if event["event"] == _BEAT]
    return beats[:1] + [event for event in events if event not in beats]


def _plainer(event: Json) -> Json:
    """Heartbeats name the deployment. What is told of results is what each reads itself."""
    related = [dict(each) for each in event["related"]]
    for each in related:
        if (event["event"], each["prefect.resource.role"]) == (_BEAT, "deployment"):
            each.pop("prefect.resource.name", None)
    return {**event, "related": related, "payload": [path for path in event["payload"] if not _OWN.match(path)]}


def differences(stock: dict[str, list[Json]], ours: dict[str, list[Json]]) -> str:
    """What only one of them told, about what."""
    lines = []
    for about in sorted({*stock, *ours}):
        theirs, own = stock.get(about, []), ours.get(about, [])
        if theirs != own:
            lines.append(f"{about}: {[event['event'] for event in theirs]} / {[event['event'] for event in own]}")
        lines += [f"- {json.dumps(event)}" for event in theirs if event not in own]
        lines += [f"+ {json.dumps(event)}" for event in own if event not in theirs]
    return "\n".join(lines)


def _resource(labels: Json) -> Json:
    told = {name: "*" if name in _VALUES else value for name, value in labels.items()}
    if told["prefect.resource.id"].startswith("prefect.task-run."):
        told["prefect.resource.name"] = _TASK_RUN.sub("-*", told["prefect.resource.name"])
    return told


def _paths(value: Any, above: str = "") -> list[str]:
    if isinstance(value, Mapping):
        return [path for name, each in value.items() for path in (f"{above}/{name}", *_paths(each, f"{above}/{name}"))]
    if isinstance(value, list):
        return [path for each in value for path in _paths(each, f"{above}/-")]
    return []
