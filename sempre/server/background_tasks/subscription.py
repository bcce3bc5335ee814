"""The websocket by which task workers get their task runs: one at a time, each acknowledged.

A run that was sent belongs to its connection until it is acknowledged or the connection ends. A worker that is busy
leaves it unread in the meantime, so there is no time in which it must be acknowledged: taking it back would have it
run twice.
"""

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from starlette.websockets import WebSocket

from sempre.core.states import StateType
from sempre.core.transitions.model import Policy, Proposal
from sempre.db.errors import DatabaseUnavailable
from sempre.db.pool import Record
from sempre.server.background_tasks import queries
from sempre.server.errors import ObjectNotFound
from sempre.server.feed import websockets
from sempre.server.ids import new_id
from sempre.server.responses import dumps
from sempre.server.scope import Scope, scope_of
from sempre.server.task_runs import rows
from sempre.server.task_runs.creation import MAX_MESSAGE_BYTES
from sempre.server.task_runs.orchestration import set_task_run_state

__all__ = ["scheduled_task_runs"]

TOPIC = "background_tasks"

_POLL_SECONDS = 1.0
_KEEP_SECONDS = queries.CLAIM_SECONDS / 3
_SUBSCRIBE_SECONDS = 30.0
_ACKNOWLEDGE_SECONDS = 300.0  # for a database that is away when an acknowledgement arrives

log = logging.getLogger("sempre.server")


async def scheduled_task_runs(websocket: WebSocket) -> None:
    """``/task_runs/subscriptions/scheduled``: subscribe to task keys, then receive bare task runs and acknowledge."""
    async with websockets.session(websocket) as opened:
        if opened:
            identifier, task_keys = await _subscribed(websocket)
            subscription = Subscription(websocket, scope_of(websocket.app.state), identifier, task_keys)
            await subscription.run()


async def _subscribed(websocket: WebSocket) -> tuple[str, list[str]]:
    try:
        async with asyncio.timeout(_SUBSCRIBE_SECONDS):
            message = await websockets.receive_object(websocket) or {}
    except TimeoutError:
        message = {}
    keys, client_id = message.get("keys"), message.get("client_id")
    if message.get("type") != "subscribe" or not isinstance(client_id, str):
        raise websockets.Refused(websockets.POLICY, "Expected 'subscribe' message with keys and client_id")
    if not isinstance(keys, list) or not keys or not all(isinstance(key, str) for key in keys):
        raise websockets.Refused(websockets.POLICY, "Expected 'subscribe' message with task keys")
    return client_id, sorted(set(keys))


@dataclass(frozen=True, slots=True)
class _Delivery:
    """A run that this connection holds."""

    claim_id: UUID
    task_run_id: UUID
    run: Record


class Subscription:
    """One task worker's connection, from its subscription to its end."""

    def __init__(self, websocket: WebSocket, scope: Scope, identifier: str, task_keys: list[str]) -> None:
        self._websocket = websocket
        self._scope = scope
        self._identifier = identifier
        self._task_keys = task_keys
        self._id = new_id()
        self._kept = 0.0  # when the worker was last said to be there
        self._incoming: asyncio.Task[dict[str, Any] | None] | None = None

    async def run(self) -> None:
        """Until the client is gone: raises WebSocketDisconnect, or Refused for a client that breaks the protocol."""
        try:
            with self._scope.doorbell.listening(TOPIC) as bell:
                while True:
                    bell.clear()
                    delivery = None
                    with contextlib.suppress(DatabaseUnavailable):
                        await self._keep()
                        delivery = await self._claim()
                    if delivery is None:
                        await self._idle(bell)
                    else:
                        await self._deliver(delivery)
        finally:
            if self._incoming is not None:
                self._incoming.cancel()
                await asyncio.gather(self._incoming, return_exceptions=True)
            with contextlib.suppress(DatabaseUnavailable):
                await queries.forget_worker(self._scope.db, self._id)

    async def _keep(self, delivery: _Delivery | None = None) -> None:
        """Say that the worker is here, and that what it holds is held."""
        if time.monotonic() - self._kept < _KEEP_SECONDS and delivery is None:
            return
        scope = self._scope
        if delivery is not None:
            await queries.renew(scope.db, scope.workspace_id, delivery.task_run_id, delivery.claim_id)
        await queries.register_worker(scope.db, scope.workspace_id, self._id, self._identifier, self._task_keys)
        self._kept = time.monotonic()

    async def _claim(self) -> _Delivery | None:
        scope = self._scope
        while True:
            claim_id = new_id()
            row = await queries.claim(scope.db, scope.workspace_id, self._task_keys, claim_id)
            if row is None:
                return None
            if row["id"] is not None and row["state_type"] == StateType.SCHEDULED.value:
                return _Delivery(claim_id, row["claimed_id"], row)
            # Cancelled, deleted, or started after an acknowledgement that the database never heard of.
            await queries.remove(scope.db, scope.workspace_id, row["claimed_id"], claim_id)

    async def _idle(self, bell: asyncio.Event) -> None:
        """Wait for news of the queue, or of the client."""
        ringing = asyncio.create_task(bell.wait())
        try:
            incoming = self._receive()
            await asyncio.wait({ringing, incoming}, timeout=_POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if incoming.done():
                self._take(incoming)
                raise websockets.Refused(websockets.POLICY, "Nothing was sent that could be acknowledged")
        finally:
            ringing.cancel()

    async def _deliver(self, delivery: _Delivery) -> None:
        message = dumps(rows.to_wire(delivery.run))
        if len(message) > MAX_MESSAGE_BYTES:
            await self._give_up(delivery, len(message))
            return
        acknowledged = False
        try:
            await self._websocket.send_text(message.decode())
            await self._acknowledgement(delivery)
            acknowledged = True
        finally:
            await self._settle(delivery, acknowledged=acknowledged)

    async def _acknowledgement(self, delivery: _Delivery) -> None:
        incoming = self._receive()
        while not incoming.done():
            await asyncio.wait({incoming}, timeout=_KEEP_SECONDS)
            if not incoming.done():
                with contextlib.suppress(DatabaseUnavailable):
                    await self._keep(delivery)
        message = self._take(incoming)
        if message is None or message.get("type") != "ack":
            raise websockets.Refused(websockets.POLICY, "Expected 'ack' message")

    async def _settle(self, delivery: _Delivery, *, acknowledged: bool) -> None:
        """Take a run off the queue that the worker has, put one back that it has not."""
        scope = self._scope
        settle = queries.remove if acknowledged else queries.release
        deadline = time.monotonic() + (_ACKNOWLEDGE_SECONDS if acknowledged else 0.0)
        while True:
            try:
                await settle(scope.db, scope.workspace_id, delivery.task_run_id, delivery.claim_id)
                break
            except DatabaseUnavailable:
                if time.monotonic() >= deadline:
                    log.warning("task run %s stays claimed until its claim expires", delivery.task_run_id)
                    return
                await asyncio.sleep(_POLL_SECONDS)
        if not acknowledged:
            scope.doorbell.ring(TOPIC)

    async def _give_up(self, delivery: _Delivery, size: int) -> None:
        """A run that no worker can receive ends where its owner sees why, instead of waiting for ever."""
        scope, id = self._scope, delivery.task_run_id
        text = (
            f"The task run could not be sent to a task worker: it takes {size:,} bytes when serialized, and workers "
            f"accept at most {MAX_MESSAGE_BYTES:,}."
        )
        log.error("task run %s: %s", id, text)
        try:
            await set_task_run_state(scope, id, Proposal(StateType.CRASHED, "Crashed", text), Policy.FORCED)
        except ObjectNotFound:
            log.debug("task run %s was deleted meanwhile", id)
        except DatabaseUnavailable:
            return  # its claim expires, and the next to claim it comes here again
        with contextlib.suppress(DatabaseUnavailable):
            await queries.remove(scope.db, scope.workspace_id, id, delivery.claim_id)

    def _receive(self) -> asyncio.Task[dict[str, Any] | None]:
        """The client's next message, asked for once: a read that is given up would lose it."""
        if self._incoming is None:
            self._incoming = asyncio.create_task(websockets.receive_object(self._websocket))
        return self._incoming

    def _take(self, incoming: asyncio.Task[dict[str, Any] | None]) -> dict[str, Any] | None:
        self._incoming = None
        return incoming.result()
