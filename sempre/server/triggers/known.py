"""The enabled automations, as far as this process knows them: kept up to date, indexed by shard."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from uuid import UUID

from sempre.core.triggers.index import TriggerIndex
from sempre.db.pool import Executor, Record
from sempre.server.triggers.definitions import SHARDS, Definition, defined, shard_of

__all__ = ["KnownAutomations", "View"]

log = logging.getLogger("sempre.triggers")

# How long a change may go unnoticed that no event and no doorbell told of.
_STALE_SECONDS = 0.5
# How many definitions are compiled before others get a turn.
_AT_ONCE = 100

# Differs when any of them does, for the price of one row: most looks find nothing new.
_MARK = (
    "SELECT count(*) AS number, sum(hash_record_extended(ROW(id, updated), 0)) AS hash FROM automation WHERE enabled"
)
_STAMPS = "SELECT id, updated FROM automation WHERE enabled"
_DOCUMENTS = """
SELECT id, workspace_id, created, updated, name, description, enabled, tags, trigger, actions, actions_on_trigger,
       actions_on_resolve
FROM automation WHERE enabled AND id = ANY($1::uuid[])
"""


class View:
    """The automations of one shard at one moment. It never changes, so that an evaluation sees the same from its
    beginning to its end."""

    __slots__ = ("_definitions", "index")

    def __init__(self, definitions: Mapping[UUID, Definition]) -> None:
        self._definitions = definitions
        self.index = TriggerIndex(definition.automation for definition in definitions.values())

    @property
    def is_empty(self) -> bool:
        return not self._definitions

    def definition(self, automation_id: UUID) -> Definition:
        """Of an automation in the index."""
        return self._definitions[automation_id]


class KnownAutomations:
    """All that is enabled. ``refresh`` reads only what changed since the last time."""

    def __init__(self) -> None:
        self._definitions: dict[UUID, Definition] = {}
        self._broken: dict[UUID, object] = {}  # what cannot be evaluated, by the version that could not
        self._views = [View({}) for _ in range(SHARDS)]
        self._read_at = 0.0
        self._mark: tuple[object, ...] | None = None
        self._refreshing = asyncio.Lock()

    def view(self, shard: int) -> View:
        return self._views[shard]

    def is_stale(self) -> bool:
        return time.monotonic() - self._read_at > _STALE_SECONDS

    async def refresh(self, db: Executor) -> None:
        """Bring everything up to date. Shards that ask at the same time are served by one reading."""
        asked = time.monotonic()
        async with self._refreshing:
            if self._read_at <= asked:
                await self._refresh(db)

    async def _refresh(self, db: Executor) -> None:
        read_at = time.monotonic()
        row = await db.fetchrow(_MARK)
        mark = tuple(row.values()) if row is not None else None
        if mark is None or mark != self._mark:
            await self._read(db)
            # Of before the reading: what changed meanwhile is found by the next look.
            self._mark = mark
        self._read_at = read_at

    async def _read(self, db: Executor) -> None:
        """Take over what changed."""
        stamps = {row["id"]: row["updated"] for row in await db.fetch(_STAMPS)}
        changed = [id for id, updated in stamps.items() if self._version(id) != updated]
        gone = {id for id in (*self._definitions, *self._broken) if id not in stamps}
        if changed or gone:
            rows = await db.fetch(_DOCUMENTS, sorted(changed)) if changed else []
            taken, self._broken = await self._compiled(rows, gone | set(changed))
            left = {id: known for id, known in self._definitions.items() if id not in gone}
            for id in changed:
                left.pop(id, None)
            self._definitions = left | taken
            for shard in {shard_of(id) for id in (*gone, *changed)}:
                self._views[shard] = View({id: one for id, one in self._definitions.items() if shard_of(id) == shard})
                await asyncio.sleep(0)

    async def _compiled(
        self, rows: Sequence[Record], replaced: set[UUID]
    ) -> tuple[dict[UUID, Definition], dict[UUID, object]]:
        """What can be evaluated, and all that cannot."""
        taken: dict[UUID, Definition] = {}
        broken = {id: version for id, version in self._broken.items() if id not in replaced}
        for number, row in enumerate(rows, 1):
            try:
                taken[row["id"]] = defined(row)
            except ValueError as error:
                broken[row["id"]] = row["updated"]
                log.warning("automation %s cannot be evaluated: %s", row["id"], error)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        return taken, broken

    def _version(self, id: UUID) -> object:
        known = self._definitions.get(id)
        return known.since if known is not None else self._broken.get(id)
