"""An open worker channel: heartbeats come in; snapshots of the pool, clean-ups and news of work go out."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from starlette.websockets import WebSocket

from sempre.db.errors import DatabaseUnavailable
from sempre.db.pool import Record
from sempre.server.feed.websockets import Refused, receive_object
from sempre.server.responses import dumps
from sempre.server.scope import Scope
from sempre.server.work_pools import queries
from sempre.server.work_pools.heartbeats import record_heartbeat
from sempre.server.work_pools.rows import pool_to_wire
from sempre.server.worker_channel import cleanup
from sempre.server.worker_channel.admission import VERSION, WORK_AVAILABLE, Grant, not_authorized
from sempre.server.worker_channel.frames import (
    HEARTBEAT_NOT_STORED,
    INTERNAL,
    TRANSIENT,
    Ack,
    Frame,
    Heartbeat,
    Hello,
    Release,
    Renew,
    made,
    payload_of,
    protocol_error,
)

__all__ = ["Channel"]

_MAX_FRAME_BYTES = 1 << 20  # what clients accept
_COALESCE_SECONDS = 0.05
_CLEANUP_POLL_SECONDS = 5.0


class Channel:
    """One connection. It ends by an exception: Refused, WebSocketDisconnect or that of a failure."""

    def __init__(self, websocket: WebSocket, scope: Scope, pool_name: str, hello: Hello, grant: Grant) -> None:
        self._websocket = websocket
        self._scope = scope
        self._pool_name = pool_name
        self._hello = hello
        self._grant = grant
        self._sequence = 0
        self._shown: datetime | None = None  # `updated` of the pool that the worker knows
        self._cleaning: dict[UUID, float] = {}  # messages under way, and when their lease ends on our clock
        self._cleaned = asyncio.Event()

    async def run(self) -> None:
        """Greet, then do all that the worker was granted until something ends it."""
        ring = self._scope.doorbell.listening
        pool_id = self._grant.pool_id
        with (
            ring(f"work_pool:{pool_id}") as changed,
            ring(f"work:{pool_id}") as available,
            ring(cleanup.topic(pool_id)) as to_clean,
        ):
            # The bells are heard before the pool is read: no change falls between.
            await self._greet()
            jobs: list[Callable[[], Awaitable[None]]] = [self._receive, lambda: self._show_changes(changed)]
            if WORK_AVAILABLE in self._grant.accepted:
                jobs.append(lambda: self._announce_work(available))
            if self._grant.cleanup_concurrency:
                jobs.append(lambda: self._deliver(to_clean))
            await _first_end(jobs)

    async def _greet(self) -> None:
        grant = self._grant
        await self._send(
            "worker.ready.v1",
            {
                "consumer_id": self._hello.consumer_id,
                # The process, not the name: clients give it back with whatever they ask, and so do the runs they start.
                "worker_id": self._hello.consumer_id,
                "selected_channel_version": VERSION,
                "effective_heartbeat_interval_seconds": _number(self._hello.heartbeat_interval_seconds),
                "accepted_capabilities": grant.accepted,
                "rejected_capabilities": grant.rejected,
                "effective_max_cleanup_concurrency": grant.cleanup_concurrency,
                "resolved_work_queues": [{"id": queue["id"], "name": queue["name"]} for queue in grant.queues],
                "initial_snapshot": self._snapshot(await self._read_pool(), "initial"),
            },
        )

    # What comes in -------------------------------------------------------------------------------------------------

    async def _receive(self) -> None:
        operations: dict[str, tuple[type[Ack], Callable[[Any], Awaitable[cleanup.Outcome]]]] = {
            "cleanup.ack.v1": (Ack, self._acknowledge),
            "cleanup.release.v1": (Release, self._release),
            "cleanup.renew.v1": (Renew, self._renew),
        }
        while True:
            frame = payload_of(Frame, await receive_object(self._websocket))
            if frame.type == "worker.heartbeat.v1":
                await self._heartbeat(payload_of(Heartbeat, frame.payload))
            elif frame.type in operations and self._grant.cleanup_concurrency:
                model, operate = operations[frame.type]
                asked = payload_of(model, frame.payload)
                await self._answer(frame, asked, await operate(asked))
            else:
                raise protocol_error()

    async def _heartbeat(self, beat: Heartbeat) -> None:
        if (beat.consumer_id, beat.worker_name) != (self._hello.consumer_id, self._hello.worker_name):
            raise protocol_error()
        try:
            found = await record_heartbeat(
                self._scope,
                self._pool_name,
                beat.worker_name,
                beat.heartbeat_interval_seconds,
                session_id=beat.consumer_id,
            )
        except DatabaseUnavailable as error:
            raise Refused(INTERNAL, HEARTBEAT_NOT_STORED) from error
        self._check_pool(None if found is None else found["work_pool_id"])
        assert found is not None
        if found["updated"] != self._shown:
            await self._show("heartbeat_reconciliation")

    async def _acknowledge(self, asked: Ack) -> cleanup.Outcome:
        return await cleanup.acknowledge(self._scope.db, self._grant.pool_id, asked.message_id, asked.reservation_token)

    async def _release(self, asked: Release) -> cleanup.Outcome:
        outcome = await cleanup.release(
            self._scope.db,
            self._grant.pool_id,
            asked.message_id,
            asked.reservation_token,
            reason=asked.reason,
            attempts=self._scope.settings.worker_channel.cleanup_max_delivery_attempts,
        )
        if outcome[0] == "accepted":
            self._scope.doorbell.ring(cleanup.topic(self._grant.pool_id))
        return outcome

    async def _renew(self, asked: Renew) -> cleanup.Outcome:
        lease = self._scope.settings.worker_channel.cleanup_lease_seconds
        outcome = await cleanup.renew(
            self._scope.db, self._grant.pool_id, asked.message_id, asked.reservation_token, lease=lease
        )
        if outcome[0] == "accepted":
            self._cleaning[asked.message_id] = time.monotonic() + lease
        return outcome

    async def _answer(self, frame: Frame, asked: Ack, outcome: cleanup.Outcome) -> None:
        status, expires = outcome
        renewed = isinstance(asked, Renew) and status == "accepted"
        if not renewed and status != "invalid_token":  # then the worker does not hold it any more
            self._cleaning.pop(asked.message_id, None)
            self._cleaned.set()
        await self._send(
            "cleanup.operation_result.v1",
            {
                "request_frame_id": frame.id,
                "message_id": asked.message_id,
                "operation": frame.type.split(".")[1],
                "status": status,
                "lease_expires_at": expires if renewed else None,
                "reason": None if status == "accepted" else status,
                "detail": None,
            },
        )

    # What goes out -------------------------------------------------------------------------------------------------

    async def _show_changes(self, changed: asyncio.Event) -> None:
        while True:
            await changed.wait()
            await asyncio.sleep(_COALESCE_SECONDS)
            changed.clear()
            await self._show("work_pool_updated")

    async def _show(self, reason: str) -> None:
        """Send the pool as it is now, if the worker does not know it so."""
        pool = await self._read_pool()
        if pool["updated"] != self._shown:
            await self._send("work_pool.snapshot.v1", self._snapshot(pool, reason))

    async def _read_pool(self) -> Record:
        pool = await queries.find(self._scope.db, self._scope.workspace_id, self._pool_name)
        self._check_pool(None if pool is None else pool["id"])
        assert pool is not None
        return pool

    def _check_pool(self, found: UUID | None) -> None:
        if found is None:
            raise not_authorized()
        if found != self._grant.pool_id:  # deleted, and made anew: the worker is welcome there as soon as it says so
            raise Refused(INTERNAL, TRANSIENT)

    def _snapshot(self, pool: Record, reason: str) -> dict[str, Any]:
        self._sequence += 1
        self._shown = pool["updated"]
        return {
            "snapshot_sequence": self._sequence,
            "reason": reason,
            "work_pool": pool_to_wire(pool, self._scope.client),
        }

    async def _announce_work(self, available: asyncio.Event) -> None:
        while True:
            await available.wait()
            available.clear()
            await self._send("work.available.v1", {"work_pool_id": self._grant.pool_id})
            await asyncio.sleep(_COALESCE_SECONDS)

    async def _deliver(self, to_clean: asyncio.Event) -> None:
        """Keep the worker busy with clean-ups, as many at once as it takes."""
        while True:
            for wake in (to_clean, self._cleaned):
                wake.clear()
            await self._deliver_open()
            await _any_set(to_clean, self._cleaned, timeout=_CLEANUP_POLL_SECONDS)

    async def _deliver_open(self) -> None:
        now = time.monotonic()
        self._cleaning = {id: ends for id, ends in self._cleaning.items() if ends > now}
        free = self._grant.cleanup_concurrency - len(self._cleaning)
        if free <= 0:
            return
        settings = self._scope.settings.worker_channel
        messages = await cleanup.claim(
            self._scope.db,
            self._grant.pool_id,
            queue_ids=[queue["id"] for queue in self._grant.queues],
            kinds=self._grant.cleanup_kinds,
            limit=free,
            lease=settings.cleanup_lease_seconds,
            attempts=settings.cleanup_max_delivery_attempts,
        )
        unsent = {message["id"]: message["reservation_token"] for message in messages}
        try:
            for message in messages:
                self._cleaning[message["id"]] = now + settings.cleanup_lease_seconds
                await self._send("cleanup.message.v1", _message(message))
                del unsent[message["id"]]
        finally:
            if unsent:  # the channel ends; what a worker did get stays its own, it has the token and comes back
                await self._give_back(unsent)

    async def _give_back(self, unsent: dict[UUID, UUID]) -> None:
        with contextlib.suppress(DatabaseUnavailable):
            await cleanup.give_back(self._scope.db, self._grant.pool_id, unsent)
            self._scope.doorbell.ring(cleanup.topic(self._grant.pool_id))

    async def _send(self, type: str, payload: dict[str, Any]) -> None:
        frame = dumps(made(type, payload))
        if len(frame) >= _MAX_FRAME_BYTES:
            # Only a pool's template can be that large. Without the channel the worker reads it over HTTP.
            raise protocol_error()
        await self._websocket.send_text(frame.decode())


def _message(row: Record) -> dict[str, Any]:
    return {
        "message_id": row["id"],
        "kind": row["kind"],
        "reservation_token": row["reservation_token"],
        "lease_expires_at": row["reserved_until"],
        "delivery_count": row["delivery_count"],
        "work_queue_id": row["work_queue_id"],
        "target": row["target"],
        "data": row["data"],
    }


def _number(value: float) -> int | float:
    return int(value) if value == int(value) else value


async def _first_end(jobs: list[Callable[[], Awaitable[None]]]) -> None:
    """Run all jobs until one raises, and raise that. The others are cancelled."""
    tasks = [asyncio.ensure_future(job()) for job in jobs]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def _any_set(*events: asyncio.Event, timeout: float) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
