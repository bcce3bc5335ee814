"""Which triggers an event may concern, without asking each of them.

Every trigger is filed once, under the rarest thing it asks for: a value of a label of the primary resource, a value of
a label of some related one, or else only the name of the event. An event looks under the values it has. So its cost
goes with what may match, not with the number of automations.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple
from uuid import UUID

from sempre.core.event_patterns import LabelSpec, is_negated
from sempre.core.triggers.model import Automation, Event, EventTrigger, LeafTrigger, MetricTrigger

__all__ = ["Candidate", "TriggerIndex"]

_ID = "prefect.resource.id"
_OWN_EVENTS = ("prefect.automation.triggered", "prefect.automation.resolved", "prefect.automation.action.")
# No trigger ever looks at these (spec/events-and-automations 7.3).
_LOG_WRITE = "prefect.log.write"


class Candidate(NamedTuple):
    automation: Automation
    trigger: LeafTrigger


@dataclass(slots=True)
class _ByName:
    """Triggers by the names of the events they ask for."""

    exact: dict[str, list[Candidate]] = field(default_factory=lambda: defaultdict(list))
    prefixed: dict[str, list[Candidate]] = field(default_factory=lambda: defaultdict(list))
    any: list[Candidate] = field(default_factory=list)
    lengths: tuple[int, ...] = ()

    def add(self, candidate: Candidate) -> None:
        trigger = candidate.trigger
        if not trigger.expect:
            self.any.append(candidate)
            return
        for pattern in sorted(trigger.expect | trigger.after):
            prefix, star, _ = pattern.partition("*")
            place = self.prefixed[prefix] if star else self.exact[pattern]
            if candidate not in place[-1:]:
                place.append(candidate)
        self.lengths = tuple(sorted({len(prefix) for prefix in self.prefixed}))

    def under(self, name: str) -> Iterator[Candidate]:
        yield from self.any
        yield from self.exact.get(name, ())
        for length in self.lengths:
            if length > len(name):
                break
            yield from self.prefixed.get(name[:length], ())


class TriggerIndex:
    """The triggers that look at events, of the automations of all workspaces."""

    def __init__(self, automations: Iterable[Automation]) -> None:
        self.automations = {automation.id: automation for automation in automations}
        self._primary: dict[tuple[UUID, str, str], _ByName] = defaultdict(_ByName)
        self._related: dict[tuple[UUID, str, str], _ByName] = defaultdict(_ByName)
        self._rest: dict[UUID, _ByName] = defaultdict(_ByName)
        for automation in self.automations.values():
            for trigger in automation.leaves:
                self._file(Candidate(automation, trigger))
        self._names: dict[UUID, _ByName] = defaultdict(_ByName)
        for automation in self.automations.values():
            for trigger in automation.leaves:
                self._names[automation.workspace_id].add(Candidate(automation, trigger))
        # Labels nobody asks for need not be looked up.
        self._primary_labels = frozenset(label for _, label, _ in self._primary)
        self._related_labels = frozenset(label for _, label, _ in self._related)

    @cached_property
    def watched(self) -> Mapping[UUID, Candidate]:
        """The triggers to look at between events, by id: proactive ones and metrics."""
        return {
            trigger.id: Candidate(automation, trigger)
            for automation in self.automations.values()
            for trigger in automation.leaves
            if not isinstance(trigger, EventTrigger) or trigger.proactive
        }

    @cached_property
    def has_metrics(self) -> bool:
        return any(isinstance(candidate.trigger, MetricTrigger) for candidate in self.watched.values())

    def wants(self, workspace_id: UUID, name: str) -> bool:
        """Whether any trigger asks for events of that name."""
        names = self._names.get(workspace_id)
        return names is not None and name != _LOG_WRITE and next(names.under(name), None) is not None

    def concerned(self, workspace_id: UUID, event: Event) -> list[Candidate]:
        """The triggers to show the event to, those of an automation in the order of their declaration."""
        found: dict[UUID, Candidate] = {}
        for under in self._places(workspace_id, event):
            for candidate in under.under(event.name):
                trigger = candidate.trigger
                if trigger.id not in found and trigger.concerns(event) and not _reacts_to_itself(candidate, event):
                    found[trigger.id] = candidate
        if len(found) < 2:
            return list(found.values())
        concerned = {candidate.automation.id: candidate.automation for candidate in found.values()}
        return [
            found[trigger.id]
            for automation in concerned.values()
            for trigger in automation.leaves
            if trigger.id in found
        ]

    def _places(self, workspace_id: UUID, event: Event) -> Iterator[_ByName]:
        few = self._primary_labels if len(self._primary_labels) < len(event.resource) else event.resource
        for label in few:
            place = self._primary.get((workspace_id, label, event.resource.get(label, "")))
            if place is not None:
                yield place
        if self._related_labels:
            for resource in event.related:
                few = self._related_labels if len(self._related_labels) < len(resource) else resource
                for label in few:
                    place = self._related.get((workspace_id, label, resource.get(label, "")))
                    if place is not None:
                        yield place
        rest = self._rest.get(workspace_id)
        if rest is not None:
            yield rest

    def _file(self, candidate: Candidate) -> None:
        workspace_id, trigger = candidate.automation.workspace_id, candidate.trigger
        for places, wanted in ((self._primary, [trigger.match]), (self._related, trigger.match_related)):
            rarest = _rarest(wanted)
            if rarest is not None:
                label, values = rarest
                for value in values:
                    places[(workspace_id, label, value)].add(candidate)
                return
        self._rest[workspace_id].add(candidate)


def _rarest(specs: Sequence[LabelSpec]) -> tuple[str, list[str]] | None:
    """A label and the only values it may have for the trigger to match: an id if there is one."""
    literal = [
        (label, values) for spec in specs for label, wanted in spec.items() if (values := _values(wanted)) is not None
    ]
    return min(literal, key=lambda one: (one[0] != _ID, _is_kind(one), len(one[1])), default=None)


def _is_kind(one: tuple[str, list[str]]) -> bool:
    """Labels that say of what kind a resource is have few values, each with many resources."""
    label, _ = one
    return label in ("prefect.resource.role", "prefect.work-pool.type", "prefect.state-type", "prefect.state-name")


def _values(wanted: str | Sequence[str]) -> list[str] | None:
    patterns = [wanted] if isinstance(wanted, str) else list(wanted)
    return None if any(is_negated(pattern) or set(pattern) & set("*?[") for pattern in patterns) else patterns


def _reacts_to_itself(candidate: Candidate, event: Event) -> bool:
    """Whether looking at the event could set off an endless chain.

    What automations do is itself told in events. An automation never reacts to what is told of itself (that an action
    of its own loaded a block is, too), and to what is told of others only if it asks for such events by name or for
    such a resource.
    """
    own = f"prefect.automation.{candidate.automation.id}"
    if event.name.startswith("prefect.block.") and event.name.endswith(".loaded"):
        return any(resource.get(_ID) == own for resource in event.related)
    if not event.name.startswith(_OWN_EVENTS):
        return False
    return event.resource.get(_ID) == own or not _asks_for_automations(candidate.trigger)


def _asks_for_automations(trigger: LeafTrigger) -> bool:
    wanted = _patterns(trigger.match).get(_ID, [])
    names = (*trigger.expect, *trigger.after, *wanted)
    return any(pattern.startswith("prefect.automation.") for pattern in names)


def _patterns(spec: LabelSpec) -> Mapping[str, list[str]]:
    return {label: [wanted] if isinstance(wanted, str) else list(wanted) for label, wanted in spec.items()}
