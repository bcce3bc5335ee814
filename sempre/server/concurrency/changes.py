"""Making, changing and deleting limits: each with its event, in one commit."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sempre.db.pool import Executor, Record
from sempre.schemas.concurrency import ConcurrencyLimitV2Create, ConcurrencyLimitV2Update
from sempre.server.concurrency import queries
from sempre.server.concurrency.taking import MOST_SLOTS
from sempre.server.errors import Unprocessable
from sempre.server.events.emit import ServerEvent, emit, resource
from sempre.server.scope import Scope

__all__ = ["create_limit", "delete_limit", "put_tag_limit", "update_limit"]


async def create_limit(scope: Scope, new: ConcurrencyLimitV2Create) -> Record:
    """Raises UniqueViolationError for a name that is taken."""
    decays = new.slot_decay_per_second > 0
    if not decays:
        _check_rows(new.active_slots)
    async with scope.db.transaction() as transaction:
        id = await queries.create(
            transaction,
            scope.workspace_id,
            name=new.name,
            limit=new.limit,
            active=new.active,
            bucket_level=new.active_slots if decays else 0,
            denied_slots=new.denied_slots,
            slot_decay_per_second=new.slot_decay_per_second,
        )
        if new.active_slots and not decays:
            await queries.set_anonymous_slots(
                transaction, scope.workspace_id, id, target=new.active_slots, limit=new.limit
            )
        row = await queries.find(transaction, scope.workspace_id, id=id, columns=queries.RECORD_COLUMNS)
        assert row is not None
        await _emit(scope, transaction, "created", row)
    scope.doorbell.ring("events")
    return row


async def put_tag_limit(scope: Scope, tag: str, limit: int) -> tuple[Record, bool]:
    """Make or resize the limit of a task tag; returns it in the tag API's form, and whether it is new."""
    async with scope.db.transaction() as transaction:
        id, inserted = await queries.put_tag(transaction, scope.workspace_id, tag, limit)
        row = await queries.find(transaction, scope.workspace_id, id=id)
        shown = await queries.find(transaction, scope.workspace_id, id=id, columns=queries.TAG_COLUMNS)
        assert row is not None
        assert shown is not None
        await _emit(scope, transaction, "created" if inserted else "updated", row)
    scope.doorbell.ring("events")
    return shown, inserted


async def update_limit(scope: Scope, found: Record, update: ConcurrencyLimitV2Update) -> bool:
    """Write what was sent; every write restarts decay. ``False``: the limit is gone.

    A limit that starts to decay begins with the slots in use; one that stops has those of its leases only.
    """
    values: dict[str, Any] = update.sent()
    if "limit" in values:
        values["slot_limit"] = values.pop("limit")
    target = values.pop("active_slots", _UNSENT)
    decay = values.get("slot_decay_per_second", found["slot_decay_per_second"])
    decays, decayed = bool(decay), found["slot_decay_per_second"] > 0
    if decays and (target is not _UNSENT or not decayed):
        values["bucket_level"] = found["active_slots"] if target is _UNSENT else target
    elif not decays:
        values["bucket_level"] = None if target is None else 0  # null: refused by the column, as any other
    limit = values.get("slot_limit", found["limit"])
    if not decays and isinstance(target, int):
        _check_rows(target)
    async with scope.db.transaction() as transaction:
        # Slots before limits, as everywhere: locks taken in one order cannot meet head-on.
        if decays and not decayed:
            await queries.set_anonymous_slots(transaction, scope.workspace_id, found["id"], target=0, limit=0)
        elif not decays and isinstance(target, int):
            await queries.set_anonymous_slots(transaction, scope.workspace_id, found["id"], target=target, limit=limit)
        row = await queries.update(transaction, scope.workspace_id, found["id"], values)
        if row is None:
            return False
        await _emit(scope, transaction, "updated", row)
    scope.doorbell.ring("events")
    return True


async def delete_limit(scope: Scope, id: UUID, *, transaction: Executor | None = None) -> bool:
    """Delete a limit with its slots. ``False``: there is none."""
    if transaction is None:
        async with scope.db.transaction() as opened:
            deleted = await delete_limit(scope, id, transaction=opened)
        scope.doorbell.ring("events")
        return deleted
    row = await queries.delete(transaction, scope.workspace_id, id)
    if row is not None:
        await _emit(scope, transaction, "deleted", row)
    return row is not None


_UNSENT: Any = object()


def _check_rows(slots: int) -> None:
    if slots > MOST_SLOTS:
        raise Unprocessable(f"At most {MOST_SLOTS} active slots can be set on a limit without slot decay.")


async def _emit(scope: Scope, transaction: Executor, change: str, limit: Mapping[str, Any]) -> None:
    payload = {key: limit[key] for key in ("name", "limit", "active", "slot_decay_per_second")}
    event = ServerEvent(
        event=f"prefect.concurrency-limit.{change}",
        resource=resource("concurrency-limit", limit["id"], limit["name"]),
        payload=payload,
    )
    await emit(transaction, scope.workspace_id, event)
