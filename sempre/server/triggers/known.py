"""The enabled automations, as far as this process knows them: kept up to date, indexed by shard."""

import logging
import time
from uuid import UUID

from sempre.core.triggers.index import TriggerIndex
from sempre.db.pool import Executor, Record
from sempre.server.triggers.definitions import SHARDS, Definition, defined, shard_of

__all__ = ["KnownAutomations"]

log = logging.getLogger("sempre.triggers")

# How long a change may go unnoticed that no event and no doorbell told of.
_STALE_SECONDS = 5.0

_STAMPS = "SELECT id, updated FROM automation WHERE enabled"
_DOCUMENTS = """
SELECT id, workspace_id, created, updated, name, description, enabled, tags, trigger, actions, actions_on_trigger,
       actions_on_resolve
FROM automation WHERE enabled AND id = ANY($1::uuid[])
"""


class KnownAutomations:
    """All that is enabled. ``refresh`` reads only what changed since the last time."""

    def __init__(self) -> None:
        self._definitions: dict[UUID, Definition] = {}
        self._broken: dict[UUID, object] = {}  # what cannot be evaluated, by the version that could not
        self._indexes = [TriggerIndex(()) for _ in range(SHARDS)]
        self._read_at = 0.0

    def index(self, shard: int) -> TriggerIndex:
        return self._indexes[shard]

    def definition(self, automation_id: UUID) -> Definition | None:
        return self._definitions.get(automation_id)

    def is_stale(self) -> bool:
        return time.monotonic() - self._read_at > _STALE_SECONDS

    async def refresh(self, db: Executor) -> None:
        """Bring everything up to date."""
        read_at = time.monotonic()
        stamps = {row["id"]: row["updated"] for row in await db.fetch(_STAMPS)}
        changed = [id for id, updated in stamps.items() if self._version(id) != updated]
        gone = [id for id in self._definitions if id not in stamps]
        rows = await db.fetch(_DOCUMENTS, sorted(changed)) if changed else []
        for id in (*gone, *changed):
            self._definitions.pop(id, None)
            self._broken.pop(id, None)
        for row in rows:
            self._take(row)
        for shard in {shard_of(id) for id in (*gone, *changed)}:
            self._indexes[shard] = TriggerIndex(
                definition.automation for id, definition in self._definitions.items() if shard_of(id) == shard
            )
        self._read_at = read_at

    def _version(self, id: UUID) -> object:
        known = self._definitions.get(id)
        return known.since if known is not None else self._broken.get(id)

    def _take(self, row: Record) -> None:
        try:
            self._definitions[row["id"]] = defined(row)
        except ValueError as error:
            self._broken[row["id"]] = row["updated"]
            log.warning("automation %s cannot be evaluated: %s", row["id"], error)
