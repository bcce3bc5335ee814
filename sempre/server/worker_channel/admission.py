"""From a worker's hello to what it is granted: version, capabilities, its pool and queues. Or why not."""

from dataclasses import dataclass
from uuid import UUID

from sempre.core.templates import check_base_job_template
from sempre.db.pool import Record
from sempre.server.events.emit import emit
from sempre.server.feed.websockets import POLICY, Refused
from sempre.server.scope import Scope
from sempre.server.work_pools import events, queries
from sempre.server.work_pools.creation import NewPool, create_pool, lock_pool
from sempre.server.work_pools.heartbeats import record_heartbeat
from sempre.server.work_pools.routes import is_reserved
from sempre.server.worker_channel.cleanup import KINDS
from sempre.server.worker_channel.frames import AUTHORIZATION_FAILED, Hello, protocol_error

__all__ = ["VERSION", "WORK_AVAILABLE", "Grant", "admit", "not_authorized"]

VERSION = "work_pool_worker_channel.v1"
HEARTBEATS = "worker_heartbeat.v1"
SNAPSHOTS = "work_pool_snapshot.v1"
CLEANUP = "cleanup_delivery.v1"
WORK_AVAILABLE = "sempre.work_available.v1"  # our own: the server says when there is something to poll for

_REQUIRED = frozenset({HEARTBEATS, SNAPSHOTS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a worker may do on its channel, and in which pool."""

    pool_id: UUID
    queues: list[Record]
    accepted: list[str]
    rejected: list[str]
    cleanup_kinds: list[str]
    cleanup_concurrency: int


def not_authorized() -> Refused:
    return Refused(POLICY, AUTHORIZATION_FAILED)


async def admit(scope: Scope, pool_name: str, hello: Hello) -> Grant:
    """Note the worker as alive and say what it gets. Raises Refused."""
    if VERSION not in hello.supported_channel_versions:
        raise Refused(POLICY, "unsupported_version")
    if not _REQUIRED.issubset(hello.requested_capabilities):
        raise protocol_error()
    kinds = sorted(KINDS.intersection(hello.handled_cleanup_kinds))
    granted = {*_REQUIRED, WORK_AVAILABLE, *((CLEANUP,) if kinds else ())}
    cleans = bool(kinds) and CLEANUP in hello.requested_capabilities
    pool = await _pool(scope, pool_name, hello)
    queues = await _queues(scope, pool["id"], hello.work_queue_names)
    interval = hello.heartbeat_interval_seconds
    beat = await record_heartbeat(
        scope, pool_name, hello.worker_name, interval, hello.worker_metadata, hello.consumer_id
    )
    if beat is None:
        raise not_authorized()
    return Grant(
        pool_id=pool["id"],
        queues=queues,
        accepted=[name for name in hello.requested_capabilities if name in granted],
        rejected=[name for name in hello.requested_capabilities if name not in granted],
        cleanup_kinds=kinds if cleans else [],
        cleanup_concurrency=(hello.max_cleanup_concurrency or 1) if cleans else 0,
    )


async def _pool(scope: Scope, name: str, hello: Hello) -> Record:
    pool = await queries.find(scope.db, scope.workspace_id, name)
    template = hello.default_base_job_template
    if pool is not None and (pool["base_job_template"] or not template):
        return pool
    try:
        check_base_job_template(template)
    except ValueError as error:
        raise protocol_error() from error
    if pool is None:
        if not hello.create_pool_if_not_found or is_reserved(name):
            raise not_authorized()
        new = NewPool(name=name, type=hello.worker_type, base_job_template=template)
        async with scope.db.transaction() as transaction:
            created = await create_pool(transaction, scope.workspace_id, new)
        scope.doorbell.ring("events")
        if created is not None:
            return created
    return await _fill_template(scope, name, hello)


async def _fill_template(scope: Scope, name: str, hello: Hello) -> Record:
    """Give a pool that has no template the worker's."""
    async with scope.db.transaction() as transaction:
        before = await lock_pool(transaction, scope.workspace_id, name)
        if before is None:
            raise not_authorized()
        if before["base_job_template"] or not hello.default_base_job_template:
            return before  # somebody was faster
        changes = {"base_job_template": hello.default_base_job_template}
        after = await queries.update(transaction, before["id"], changes)
        payload = events.changed_fields(before, after, changes)
        await emit(transaction, scope.workspace_id, events.pool_changed("updated", after, payload=payload))
    scope.doorbell.ring("events", f"work_pool:{after['id']}")
    return after


async def _queues(scope: Scope, pool_id: UUID, names: list[str]) -> list[Record]:
    queues = await queries.queues_of(scope.db, pool_id)
    known = {queue["name"] for queue in queues}
    if not known.issuperset(names):
        raise not_authorized()
    return [queue for queue in queues if not names or queue["name"] in names]
