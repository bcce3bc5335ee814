"""Checks that need the ledger of the storm: pure functions from its lines, and rows of the database, to offences."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from tests.chaos.ledger import Entries, Entry
from tests.chaos.loads.shape import CLAIM_SECONDS, DEAD_WORKER_SECONDS, LEASE_SECONDS, TAKEN
from tests.support.trigger_oracle import Oracle

_COMING_UP_SECONDS = 1.0  # from the first write on, until the balancer knows of all servers that were started again
_SILENCE_SECONDS = 2.0  # in which nobody at all is answered: dozens are, each second
_ON_ITS_WAY_SECONDS = 1.0  # what is heard while silence is being judged comes too late

Rows = list[dict[str, Any]]

_CLOCK_SLACK = 1.0
_FEED_WINDOW = 50.0  # a subscriber asks for the minute before its latest event


def at_once(intervals: Iterable[tuple[float, float]]) -> int:
    """The most of these intervals that hold at one moment; one that ends as another begins does not count."""
    edges = sorted(edge for began, ended in intervals if ended > began for edge in ((began, 1), (ended, -1)))
    now = most = 0
    for _, step in edges:
        now += step
        most = max(most, now)
    return most


# -- executions


def executed_twice(entries: Entries, states: Rows) -> Rows:
    """An attempt whose body began more than once, or that is no Running state of its run."""
    known = {row["id"]: row["run"] for row in states if row["type"] == "RUNNING"}
    begins = Counter((line["id"], line["attempt"]) for line in entries.of_kind("begin"))
    return [
        {"run": run, "attempt": attempt, "bodies": count, "known": known.get(attempt) == run}
        for (run, attempt), count in begins.items()
        if count != 1 or known.get(attempt) != run
    ]


def overlapping(entries: Entries) -> Rows:
    """Bodies of one run at the same time, unless the earlier one's process stood still long enough to be given up."""
    spans = _bodies(entries)
    frozen = {line["id"] for line in entries.of_kind("froze")}
    offences: Rows = []
    for run, bodies in spans.items():
        bodies.sort()
        for (began, ended, attempt), (next_began, _, next_attempt) in pairwise(bodies):
            if next_began < ended and run not in frozen:
                offences.append({"run": run, "first": attempt, "until": ended, "next": next_attempt, "at": next_began})
            assert began <= next_began
    return offences


def _bodies(entries: Entries) -> dict[str, list[tuple[float, float, str]]]:
    """Run -> (began, ended, attempt). A body whose end nobody told is none any more when the next line of it is due."""
    ends = {str(line["attempt"]): float(line["at"]) for line in entries.of_kind("end")}
    spans: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
    for line in entries.of_kind("begin"):
        spans[line["id"]].append((float(line["at"]), ends.get(line["attempt"], float(line["at"])), line["attempt"]))
    return spans


def never_executed(entries: Entries, states: Rows) -> Rows:
    """Runs that workers claimed and that are Completed though no body of them ever ran."""
    workers = {line["process"] for line in entries.of_kind("worker_beat")}
    claimed = {line["id"] for line in entries.of_kind("moved") if line.get("process") in workers}
    begun = set(entries.values("begin"))
    return [
        {"run": row["run"], "at": row["at"]}
        for row in states
        if row["type"] == "COMPLETED" and row["run"] in claimed - begun
    ]


def stock_executed_twice(entries: Entries, states: Rows) -> Rows:
    """Runs of stock workers with more bodies than Running states, or a body after one that came to its end."""
    running = Counter(row["run"] for row in states if row["type"] == "RUNNING")
    begins: dict[str, list[float]] = defaultdict(list)
    for line in entries.of_kind("stock_begin"):
        begins[line["id"]].append(line["at"])
    ended = {line["id"]: line["at"] for line in entries.of_kind("stock_end")}
    return [
        {"run": run, "bodies": len(found), "running": running[run], "ended": ended.get(run)}
        for run, found in begins.items()
        if len(found) > running[run] or (run in ended and max(found) > ended[run])
    ]


def crowded(entries: Entries, states: Rows, limits: dict[str, int]) -> Rows:
    """Deployments of which more bodies ran at once than their limit allows; frozen bodies may have lost their slot."""
    deployment = {row["run"]: row["deployment"] for row in states}
    frozen = {line["id"] for line in entries.of_kind("froze")}
    spans: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for run, bodies in _bodies(entries).items():
        if run not in frozen and deployment.get(run) in limits:
            spans[deployment[run]] += [(began, ended) for began, ended, _ in bodies]
    return [
        {"deployment": id, "limit": limits[id], "at once": at_once(found)}
        for id, found in spans.items()
        if at_once(found) > limits[id]
    ]


def unfenced(entries: Entries, states: Rows) -> set[str]:
    """Runs that a server of the previous release moved on though they had been taken back: it knows no such rule, and
    drops what the state before says of it. One of this release never does."""
    upgrades = [
        (line["struck"], line["lifted"]) for line in entries.of_kind("strike") if line["fault"] == "previous release"
    ]
    return {
        row["run"]
        for before, row in pairwise(states)
        if before["run"] == row["run"] and before["fenced"] and not row["fenced"]
        if any(struck <= row["at"] <= lifted for struck, lifted in upgrades)
    }


def false_alarms(entries: Entries, states: Rows, silence: float) -> Rows:
    """Runs that a service crashed for their silence though a heartbeat had just been acknowledged."""
    said = {line["state"] for line in entries.of_kind("moved")}
    beats: dict[str, list[float]] = defaultdict(list)
    for line in entries.of_kind("beat"):
        beats[line["id"]].append(line["at"])
    offences: Rows = []
    for row in states:
        if row["type"] == "CRASHED" and row["id"] not in said and "heartbeat" in (row["message"] or "").lower():
            heard = [at for at in beats[row["run"]] if at <= row["at"]]
            if heard and row["at"] - max(heard) < silence - _CLOCK_SLACK:
                offences.append({"run": row["run"], "crashed": row["at"], "heard": max(heard)})
    return offences


def taken_back_early(entries: Entries, states: Rows) -> Rows:
    """Claims taken back though the worker's process had just been heard and they had not lasted for long."""
    claimed = {line["state"]: line["process"] for line in entries.of_kind("moved") if line["type"] == "PENDING"}
    said = {line["state"] for line in entries.of_kind("moved")}
    beats: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for line in entries.of_kind("worker_beat"):
        beats[line["process"]].append((line["sent"], line["at"]))
    offences: Rows = []
    before: dict[str, Any] = {"run": None}
    for row in states:
        taken_back = row["run"] == before["run"] and before["type"] == "PENDING" and row["type"] == "SCHEDULED"
        if taken_back and row["id"] not in said and before["id"] in claimed:
            in_time = row["at"] - _ON_ITS_WAY_SECONDS
            # One that waited for its answer when the claim was taken back may not have been written down by then.
            process = beats[claimed[before["id"]]]
            heard = max([before["at"], *(sent for sent, told in process if sent <= in_time and told <= row["at"])])
            living = row["at"] - heard < DEAD_WORKER_SECONDS - _CLOCK_SLACK
            if living and row["at"] - before["at"] < CLAIM_SECONDS - _CLOCK_SLACK:
                offences.append({"run": row["run"], "process": claimed[before["id"]], "heard": heard, "at": row["at"]})
        before = row
    return offences


# -- schedules


def wrong_slots(schedule: Entry, slots: list[tuple[float, int]], now: float, first_within: float) -> Rows:
    """Slots up to `now`, computed from the schedule alone, that have other than exactly one run.

    `first_within`: how long after its creation the first slot of a schedule may be.
    """
    period, anchor, created = schedule["period"], schedule["anchor"], schedule["at"]
    who = {"schedule": schedule["id"], "name": schedule["name"]}
    runs = Counter({round(slot): count for slot, count in slots})
    if not runs:
        return [{**who, "slots": "none"}] if now > created + first_within + period else []
    first = min(runs)
    offences: Rows = []
    if first > created + first_within + period:
        offences.append({**who, "first slot": first, "created": created})
    expected = set(range(first, int(now) + 1, period)) if (first - anchor) % period == 0 else set()
    offences += [{**who, "slot": slot, "runs": runs[slot]} for slot in sorted(expected) if runs[slot] != 1]
    offences += [
        {**who, "slot": slot, "runs": count, "of the schedule": (slot - anchor) % period == 0}
        for slot, count in sorted(runs.items())
        if slot not in expected and (count != 1 or (slot - anchor) % period)
    ]
    return offences


# -- automations


def wrong_firings(automation: Entry, log: Rows, firings: Rows) -> Rows:
    """Where an automation over the ordered stream fired otherwise than the oracle, event by event."""
    said = [json.loads(row["firing"]) for row in firings]
    fired = [(one["triggering_event"]["id"], one["triggering_labels"]) for one in said]
    oracle = Oracle(automation["trigger"])
    for event in log:
        oracle.see({**event, "resource": json.loads(event["resource"]), "related": []}, event["occurred"])
    expected = [(str(one["event"]), one["labels"]) for one in oracle.fired]
    lost = [one for one in expected if one not in fired]
    extra = [one for one in fired if one not in expected]
    doubled = [event for event, count in Counter(event for event, _ in fired).items() if count > 1]
    name = automation["name"]
    offences = [{"automation": name, "event": event, "fired": "never"} for event, _ in lost]
    offences += [{"automation": name, "event": event, "fired": "without reason"} for event, _ in extra]
    offences += [{"automation": name, "event": event, "fired": "more than once"} for event in doubled]
    if not offences and fired != expected:
        offences.append({"automation": name, "fired": "in another order"})
    return offences


def wrong_alarms(entries: Entries, firings: Rows) -> Rows:
    """One alarm for each job that was begun and never done, none for the others."""
    keys = Counter(json.loads(row["firing"])["triggering_labels"]["prefect.resource.id"] for row in firings)
    expected = {line["resource"] for line in entries.of_kind("job") if not line["done"]}
    return [
        {"job": job, "alarms": keys[job], "undone": job in expected}
        for job in sorted({*keys, *expected})
        if keys[job] != (1 if job in expected else 0)
    ]


def wrong_calls(automation: Entry, log: Rows, firings: Rows) -> Rows:
    """One firing for each event of its kind."""
    name = {"recall": "load.recall"}.get(automation["name"], "load.call")
    fired = Counter(json.loads(row["firing"])["triggering_event"]["id"] for row in firings)
    expected = {event["id"] for event in log if event["event"] == name}
    return [
        {"automation": automation["name"], "event": event, "firings": fired[event]}
        for event in sorted({*fired, *expected})
        if fired[event] != (1 if event in expected else 0)
    ]


def wrong_hooks(entries: Entries, actions: Rows, callers: set[str]) -> Rows:
    """Webhooks that never arrived, or that belong to no action. The same key may come again: that is what it is for."""
    arrived = {line["key"] for line in entries.of_kind("hook") if line["answer"] == 200}
    owed = {row["id"] for row in actions if row["automation_id"] in callers}
    keys = {line["key"] for line in entries.of_kind("hook")}
    return [
        *({"invocation": id, "arrived": False} for id in sorted(owed - arrived)),
        *({"key": key, "invocation": None} for key in sorted(str(key) for key in keys - owed)),
    ]


def called_twice(entries: Entries) -> Rows:
    """Webhooks that came again after they had been answered with 200."""
    answered: dict[str, float] = {}
    offences: Rows = []
    for line in entries.of_kind("hook"):
        if line["key"] in answered:
            offences.append({"key": line["key"], "again after": round(line["at"] - answered[line["key"]], 3)})
        elif line["answer"] == 200:
            answered[line["key"]] = line["at"]
    return offences


def wrong_runs(actions: Rows, runs: Rows, runners: set[str]) -> Rows:
    """Actions that should have made one run and made another number."""
    made = Counter(row["invocation"] for row in runs)
    owed = {row["id"] for row in actions if row["automation_id"] in runners}
    return [
        {"invocation": id, "runs": made[id], "owed": id in owed}
        for id in sorted({*made, *owed})
        if made[id] != (1 if id in owed else 0)
    ]


# -- feeds, tasks, leases


def gaps(entries: Entries, events: Rows, until: float) -> tuple[Rows, int]:
    """Events that a subscriber never saw, and how many were stored so late that its window could not hold them."""
    offences: Rows = []
    excused = 0
    seen: dict[str, set[str]] = defaultdict(set)
    for line in entries.of_kind("seen"):
        seen[line["sub"]].add(line["id"])
    first: dict[str, float] = {}
    for line in entries.of_kind("subscribed"):
        first.setdefault(line["sub"], line["at"])
    for sub, since in first.items():
        for event in events:
            if event["id"] in seen[sub] or event["occurred"] < since or event["received"] > until:
                continue
            if event["received"] - event["occurred"] > _FEED_WINDOW:
                excused += 1
            else:
                offences.append({"subscriber": sub, **event})
    return offences, excused


def tasks_lost(entries: Entries) -> Rows:
    given = set(entries.values("given"))
    return [{"task run": id} for id in entries.values("delayed") if id not in given]


def tasks_given_twice(entries: Entries) -> Rows:
    """Given again though the connection of an earlier acknowledgement was whole afterwards."""
    held = {(line["connection"], line["id"]) for line in entries.of_kind("lasted")}
    safe: set[str] = set()
    offences: Rows = []
    for line in entries.of_kind("given"):
        if line["id"] in safe:
            offences.append({"task run": line["id"], "connection": line["connection"]})
        if (line["connection"], line["id"]) in held:
            safe.add(line["id"])
    return offences


def too_many_leases(entries: Entries) -> Rows:
    """More holders at once than the limit has slots, as the holders themselves know it."""
    renewed: dict[str, float] = {}
    for line in [*entries.of_kind("taken"), *entries.of_kind("renewed")]:
        renewed[line["id"]] = max(line["at"], renewed.get(line["id"], 0.0))
    let_go = {str(line["id"]): float(line["at"]) for line in entries.of_kind("letting_go")}
    # Valid for as long as the latest renewal lasts, which was sent before it was answered.
    spans = [
        (float(line["at"]), let_go.get(line["id"], float(line["at"])))
        for line in entries.of_kind("taken")
        if let_go.get(line["id"], 0.0) <= renewed[line["id"]] + LEASE_SECONDS * 0.9
    ]
    most = at_once(spans)
    return [{"holders at once": most, "slots": TAKEN}] if most > TAKEN else []


# -- clients


def _hand(strike: Entry) -> list[str]:
    return [strike["fault"], *strike["beside"]]


def _takes_a_server(fault: str) -> bool:
    return fault.startswith("api: ") or fault == "previous release"


def refusals(entries: Entries) -> tuple[Rows, int]:
    """Websockets that were refused, and how many were while no API server was up to accept any."""
    writes = sorted(line["at"] for line in entries.of_kind("created"))
    strikes = entries.of_kind("strike")
    nobody = [
        (line["struck"], min((at for at in writes if at > line["lifted"]), default=line["lifted"]) + _COMING_UP_SECONDS)
        for line in strikes
        if line["fault"] == "api: kill -9 of all"
    ]
    # Two faults together may take one server each: then the silence of all that was asked says when nobody was up.
    both = [(line["struck"], line["lifted"]) for line in strikes if sum(map(_takes_a_server, _hand(line))) > 1]
    answered = sorted(line["at"] for line in entries.of_kind("call"))
    nobody += [
        (before - _COMING_UP_SECONDS, after + _COMING_UP_SECONDS)
        for before, after in pairwise(answered)
        if after - before > _SILENCE_SECONDS and any(struck <= after and before <= lifted for struck, lifted in both)
    ]
    refused = entries.of_kind("refused_upgrade")
    offences = [line for line in refused if not any(since <= line["at"] <= until for since, until in nobody)]
    return offences, len(refused) - len(offences)
