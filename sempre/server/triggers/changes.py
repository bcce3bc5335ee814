"""What an evaluation has changed, and writing it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from sempre.core.triggers.buckets import is_satisfied
from sempre.core.triggers.evaluation import BucketKey, ChildKey, Evaluation
from sempre.core.triggers.model import Automation, EventKey, EventTrigger, Firing
from sempre.db.pool import Executor
from sempre.server.scope import Scope
from sempre.server.triggers import counters
from sempre.server.triggers.firings import Owed, document_of, owed, write_owed
from sempre.server.triggers.known import View
from sempre.server.triggers.reading import Reading

__all__ = ["Changes", "Loaded", "changes_of"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """An evaluation, and the documents of firings of children that were written earlier, by id."""

    core: Evaluation
    documents: Mapping[UUID, Any]


@dataclass
class Changes:
    """What to write in the transaction that moves the cursor."""

    documents: dict[UUID, Any]
    buckets: list[counters.BucketWrite] = field(default_factory=list)
    buckets_gone: list[BucketKey] = field(default_factory=list)
    children: list[tuple[Automation, ChildKey, Firing]] = field(default_factory=list)
    children_gone: list[ChildKey] = field(default_factory=list)
    owed: list[Owed] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not (self.buckets or self.buckets_gone or self.children or self.children_gone or self.owed)

    async def write(self, tx: Executor) -> None:
        await counters.write_buckets(tx, self.buckets, self.buckets_gone)
        await counters.write_children(tx, self.children, self.children_gone, self.documents)
        if self.owed:
            await write_owed(tx, self.owed)


async def changes_of(scope: Scope, view: View, loaded: Loaded, reading: Reading) -> Changes:
    """Everything the evaluation has changed, with the texts of the events it speaks of."""
    core = loaded.core
    children = list(core.changed_children())
    kept = [(automation, child, firing) for automation, child, firing in children if firing is not None]
    spoken = [*(reaction.firing for reaction in core.reactions), *(firing for _, _, firing in kept)]
    await reading.add(scope.db, {key for firing in spoken for key in _events_of(firing)})
    changes = Changes(
        documents=dict(loaded.documents),
        children=kept,
        children_gone=[child for _, child, firing in children if firing is None],
    )
    for automation, _, firing in kept:
        if firing.id not in changes.documents:
            definition = view.definition(automation.id)
            changes.documents[firing.id] = document_of(definition, firing, reading, changes.documents)
    for reaction in core.reactions:
        definition = view.definition(reaction.automation.id)
        changes.owed.append(owed(definition, document_of(definition, reaction.firing, reading, changes.documents)))
    await _add_buckets(scope, core, reading, changes)
    return changes


async def _add_buckets(scope: Scope, core: Evaluation, reading: Reading, changes: Changes) -> None:
    # What set off a long wait may be gone from the log when the wait is over.
    long = timedelta(seconds=scope.settings.events.retention_seconds) / 2
    changed = list(core.changed_buckets())
    changes.buckets_gone = [key for _, key, bucket in changed if bucket is None]
    kept = [
        (automation, _trigger_of(automation, key.trigger_id), key, bucket)
        for automation, key, bucket in changed
        if bucket is not None
    ]
    outlasting = {key: bucket.last_event for _, trigger, key, bucket in kept if trigger.within > long}
    await reading.add(scope.db, {event for event in outlasting.values() if event is not None})
    changes.buckets = [
        counters.BucketWrite(
            automation,
            key,
            bucket,
            proactive=trigger.proactive,
            satisfied=is_satisfied(trigger, bucket),
            last_event=None if (event := outlasting.get(key)) is None else reading.document(event),
        )
        for automation, trigger, key, bucket in kept
    ]


def _trigger_of(automation: Automation, trigger_id: UUID) -> EventTrigger:
    return next(trigger for trigger in automation.event_triggers if trigger.id == trigger_id)


def _events_of(firing: Firing) -> Iterable[EventKey]:
    if firing.event is not None:
        yield firing.event
    for child in firing.firings:
        yield from _events_of(child)
