"""One shard of the trigger engine: a consumer of the event log that counts for its share of the automations.

Cursor, counters, firings and the actions they owe commit together, so that every event counts once, whatever dies.
Between events the same consumer looks at the triggers that wait for what does not come, as fenced as at an event.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sempre.core.log_cursor import expects
from sempre.core.triggers.evaluation import BucketKey, ChildKey, Evaluation
from sempre.core.triggers.index import Candidate
from sempre.core.triggers.model import Automation, Bucket, CompositeTrigger, Event, EventKey, EventTrigger, Firing
from sempre.core.triggers.ordering import Order, in_causal_order
from sempre.db.pool import Executor, Record
from sempre.server.events.consumer import Consumer, Work
from sempre.server.heartbeats.presence import present
from sempre.server.ids import new_id
from sempre.server.scope import Scope
from sempre.server.triggers import counters, metrics, waiting
from sempre.server.triggers.changes import Loaded, changes_of
from sempre.server.triggers.definitions import CONSUMER
from sempre.server.triggers.known import KnownAutomations, View
from sempre.server.triggers.memory import Memory
from sempre.server.triggers.reading import Reading, RecentEvents, event_of

__all__ = ["Shard"]

# What a batch shows of each event: enough to tell which ones anybody may want.
_COLUMNS = "seq, id, workspace_id, event, occurred, received, follows"
_TOPICS = ("events", "actions")
# Triggers looked at in one transaction, and buckets of each.
_WATCHES_AT_ONCE = 200
_BUCKETS_AT_ONCE = 500
_SWEPT_AT_ONCE = 5000
_CHANGES = frozenset(f"prefect.automation.{change}" for change in ("created", "updated", "deleted"))
# Events that came this long before an automation was as it is do not count for it. Not zero, as clocks differ.
_BEFORE = timedelta(seconds=5)


@dataclass
class Shard:
    """The evaluator of one shard in this process. ``known`` and ``recent`` are shared by all shards of a process."""

    scope: Scope
    known: KnownAutomations
    number: int
    leased: bool = True
    recent: RecentEvents = field(default_factory=RecentEvents)
    consumer: Consumer = field(init=False)
    view: View = field(init=False)
    _watched: frozenset[UUID] = frozenset()
    _looked: float = 0.0
    _more: bool = False
    _measured_until: datetime | None = None

    def __post_init__(self) -> None:
        self.view = self.known.view(self.number)
        self.consumer = Consumer(
            self.scope.db,
            self.scope.doorbell,
            CONSUMER,
            self._handle,
            columns=_COLUMNS,
            batch_size=self.scope.settings.services.triggers.read_batch_size,
            shard=self.number,
            leased=self.leased,
            from_now=True,
        )

    async def run_for(self, seconds: float) -> None:
        """Events for ``seconds``, and whatever falls due meanwhile."""
        await self._refresh()
        await self.consumer.run_for(seconds)
        if self.consumer.held:
            await self.look_if_due()
        else:
            self._watched = frozenset()  # who knows what becomes of them meanwhile

    async def look_if_due(self) -> None:
        """Look at what waits, if that was not done lately."""
        now = asyncio.get_running_loop().time()
        if now - self._looked >= self.scope.settings.events.proactive_granularity_seconds:
            self._looked = now
            await self.look()

    async def look(self) -> None:
        """See to every trigger that is due to be looked at, let go of events that have waited too long, and remove
        buckets whose time has long passed."""
        self._measured_until = await self._measure()
        while await self.consumer.apart(self._watch) and self._more:
            pass
        await self.consumer.apart(self._release_and_sweep)

    async def _measure(self) -> datetime | None:
        """The time up to which metrics have all there is; ``None`` while there is more to read."""
        if not self.view.index.has_metrics:
            return None
        now = datetime.now(UTC)
        _, is_all_read = await self.consumer.step()
        return now if is_all_read else None

    async def _refresh(self, names: Iterable[str] = ()) -> None:
        if self.known.is_stale() or not _CHANGES.isdisjoint(names):
            await self.known.refresh(self.scope.db)
        self.view = self.known.view(self.number)

    # --- events ------------------------------------------------------------------------------------------

    async def _handle(self, rows: Sequence[Record]) -> Work:
        # The log itself tells of changed automations, before any event that a client sent because of the change.
        await self._refresh(row["event"] for row in rows)
        memory = Memory.read(self.consumer.state)
        now = datetime.now(UTC)
        for row in rows:
            memory.clock = memory.clock.after(row["occurred"], now)
        wanted = [row for row in rows if self.view.index.wants(row["workspace_id"], row["event"])]
        if not wanted and not memory.waiting:
            return Work(state=memory.write())
        arrived = await self.recent.at(self.scope.db, [EventKey(row["seq"], row["occurred"]) for row in wanted])
        order = await self._ordered(arrived, rows, memory, now)
        return await self._evaluated(order, memory, now)

    async def _ordered(self, arrived: Sequence[Event], rows: Sequence[Record], memory: Memory, now: datetime) -> Order:
        """The events to look at now, followers after those they follow."""
        held: list[Event] = []
        if memory.waiting:
            held = [event_of(row) for row in await waiting.load(self.scope.db, self.number)]
        leaders = {event.follows for event in (*arrived, *held) if event.follows is not None}
        seen = {row["id"] for row in rows}
        if unknown := leaders - seen:
            # What was committed since the batch was read is still to come, wherever its number stands.
            numbers = await waiting.numbers(self.scope.db, unknown)
            seen |= {id for id, number in numbers.items() if not expects(self.consumer.moving_to, number)}
        return in_causal_order(arrived, held, seen.__contains__, now)

    async def _evaluated(self, order: Order, memory: Memory, now: datetime) -> Work:
        shown = [(event, self._candidates(event)) for event in order.ready]
        counted = [
            (event, candidate, trigger)
            for event, candidates in shown
            for candidate in candidates
            if isinstance(trigger := candidate.trigger, EventTrigger)
        ]
        evaluation = await self._evaluation(
            [(candidate, BucketKey(trigger.id, trigger.key_of(event))) for event, candidate, trigger in counted], memory
        )
        for event, candidate, trigger in counted:
            evaluation.core.observe(candidate.automation, trigger, event, min(event.received, now))
        samples = await metrics.samples_of(self.scope.db, shown)
        stay = [event for event in order.waiting if self._candidates(event)]
        memory.waiting += len(stay) - len(order.released)
        memory.last_firing = evaluation.core.last_firing

        changes = await changes_of(self.scope, self.view, evaluation, Reading())
        if changes.is_empty and not samples and not stay and not order.released:
            return Work(state=memory.write())

        async def write(tx: Executor) -> None:
            await changes.write(tx)
            await metrics.add_samples(tx, samples)
            await waiting.write(tx, self.number, [event.key for event in stay], order.released)

        return Work(write, topics=_TOPICS if changes.owed else (), state=memory.write())

    def _candidates(self, event: Event) -> list[Candidate]:
        found = self.view.index.concerned(event.workspace_id, event)
        return [candidate for candidate in found if self._is_in_force(candidate.automation, event)]

    def _is_in_force(self, automation: Automation, event: Event) -> bool:
        return event.received >= self.view.definition(automation.id).since - _BEFORE

    async def _evaluation(self, keys: Sequence[tuple[Candidate, BucketKey]], memory: Memory) -> Loaded:
        """An evaluation with everything loaded that these triggers may touch."""
        buckets = await counters.load_buckets(self.scope.db, [key for _, key in keys]) if keys else {}
        return await self._with_children(buckets, [candidate for candidate, _ in keys], memory)

    async def _with_children(
        self, buckets: Mapping[BucketKey, Bucket], candidates: Iterable[Candidate], memory: Memory
    ) -> Loaded:
        parents = {
            parent.id
            for candidate in candidates
            for parent in _ancestors(candidate.automation, candidate.trigger.id)
            if parent.needed > 1
        }
        children: dict[ChildKey, Firing] = {}
        documents: Mapping[UUID, Any] = {}
        if parents:
            children, documents = await counters.children_of_parents(self.scope.db, parents)
        return Loaded(Evaluation(new_id, buckets, children, memory.last_firing), documents)

    # --- what does not come ------------------------------------------------------------------------------

    async def _watch(self) -> Work:
        """Look at the triggers that are due."""
        await self._refresh()
        memory = Memory.read(self.consumer.state)
        now = datetime.now(UTC)
        as_of = memory.clock.as_of(now)
        await self._keep_watches(now)
        due = await counters.due_watches(self.scope.db, self.number, now, _WATCHES_AT_ONCE)
        self._more = len(due) == _WATCHES_AT_ONCE
        if not due:
            return Work()
        candidates = _as_declared(self.view.index.watched[id] for id in due if id in self.view.index.watched)
        reading = Reading()
        buckets, kept = await counters.load_due_buckets(self.scope.db, list(candidates), as_of, _BUCKETS_AT_ONCE)
        for key, document in kept.items():
            reading.keep(key, document)
        evaluation = await self._with_children(buckets, candidates.values(), memory)
        for candidate in candidates.values():
            if isinstance(candidate.trigger, EventTrigger):
                evaluation.core.watch(candidate.automation, candidate.trigger, as_of, now)
        standings = await metrics.look(self.scope.db, evaluation.core, candidates.values(), self._measured_until)
        memory.last_firing = evaluation.core.last_firing
        changes = await changes_of(self.scope, self.view, evaluation, reading)
        crowded = {key.trigger_id for key in buckets if len(buckets) >= _BUCKETS_AT_ONCE}
        self._more = self._more or bool(crowded)

        async def write(tx: Executor) -> None:
            await changes.write(tx)
            await counters.stop_watches(tx, [id for id in due if id not in candidates])
            await metrics.keep_standings(tx, standings)
            await self._plan(tx, candidates, crowded, as_of)

        return Work(write, topics=_TOPICS if changes.owed else (), state=memory.write())

    async def _plan(self, tx: Executor, candidates: dict[UUID, Candidate], crowded: set[UUID], as_of: datetime) -> None:
        """When to look next: when the next bucket ends, or the trigger's rhythm later."""
        ends = await counters.next_ends(tx, list(candidates), as_of)
        latest = {id: as_of + candidate.trigger.rhythm for id, candidate in candidates.items()}
        await counters.write_watches(
            tx, {id: as_of if id in crowded else min(ends[id] or latest[id], latest[id]) for id in candidates}
        )

    async def _keep_watches(self, now: datetime) -> None:
        """Every trigger of this shard that waits for what does not come has a row that says when to look at it."""
        wanted = frozenset(self.view.index.watched)
        if missing := wanted - self._watched:
            automations = {id: self.view.index.watched[id].automation for id in missing}
            await counters.start_watches(self.scope.db, self.number, automations, now)
        self._watched = wanted

    async def _release_and_sweep(self) -> Work:
        self.view = self.known.view(self.number)
        memory = Memory.read(self.consumer.state)
        now = datetime.now(UTC)
        if memory.waiting:
            return await self._late_followers(memory, now)
        before = memory.clock.as_of(now) - timedelta(seconds=self.scope.settings.events.expired_bucket_buffer_seconds)
        if not await counters.is_anything_left_over(self.scope.db, self.number, before):
            return Work()
        over = await self._over(before, now)

        async def write(tx: Executor) -> None:
            if over is not None:
                await counters.sweep(tx, self.number, over, _SWEPT_AT_ONCE)
            await counters.sweep_forgotten(tx, self.number, _SWEPT_AT_ONCE)

        return Work(write)

    async def _over(self, before: datetime, now: datetime) -> datetime | None:
        """Up to when buckets have ended for good. Not later than ``before``, and ``None`` unless somebody has taken
        events in ever since: what could not be sent during an outage may still come, and is counted as without it."""
        heard = await present(self.scope.db)
        if heard is None:
            return before
        over = min(before, heard.until - (now - before))
        return over if heard.since <= over else None

    async def _late_followers(self, memory: Memory, now: datetime) -> Work:
        """Those whose leader never came are looked at as they are; those the log has lost are waited for no more."""
        held = [event_of(row) for row in await waiting.load(self.scope.db, self.number)]
        memory.waiting, lost = await waiting.count_and_lost(self.scope.db, self.number)
        order = in_causal_order([], held, lambda _: False, now)
        order.released += lost
        if not order.released:
            return Work(state=memory.write())
        return await self._evaluated(order, memory, now)


def _as_declared(due: Iterable[Candidate]) -> dict[UUID, Candidate]:
    """By the trigger's id, those of one automation as it declares them: sequences depend on who fires first."""
    by_id = {candidate.trigger.id: candidate for candidate in due}
    automations = {candidate.automation.id: candidate.automation for candidate in by_id.values()}
    return {
        leaf.id: by_id[leaf.id] for automation in automations.values() for leaf in automation.leaves if leaf.id in by_id
    }


def _ancestors(automation: Automation, trigger_id: UUID) -> Iterable[CompositeTrigger]:
    parent = automation.parents.get(trigger_id)
    while parent is not None:
        yield parent
        parent = automation.parents.get(parent.id)
