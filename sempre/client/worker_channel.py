"""The worker's channel: heartbeats out; the pool as it changes, news of work and clean-ups in."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from sempre.client.bodies import encoded, path_part
from sempre.client.connection import Connection
from sempre.client.errors import ApiUnreachable, ClientError
from sempre.client.websocket import Lost, opened, receive_object
from sempre.schemas.work_pools import WorkPoolResponse
from sempre.settings import ClientSettings

__all__ = ["Cleanup", "Hello", "WorkerChannel"]

_VERSION = "work_pool_worker_channel.v1"
_REQUIRED = ("worker_heartbeat.v1", "work_pool_snapshot.v1")
_WORK_AVAILABLE = "sempre.work_available.v1"
_CLEANUP = "cleanup_delivery.v1"
_SETUP_SECONDS = 10.0
_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
_FINAL_CODES = frozenset({1002, 1008})

log = logging.getLogger("sempre.client")


@dataclass(frozen=True, kw_only=True)
class Hello:
    """Who the worker is and what it wants."""

    work_pool_name: str
    worker_name: str
    worker_type: str
    heartbeat_seconds: float = 30.0
    work_queue_names: Sequence[str] = ()
    create_pool_if_not_found: bool = False
    default_base_job_template: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] | None = None
    cleanup_kinds: Sequence[str] = ()
    cleanup_concurrency: int | None = None


@dataclass(frozen=True, kw_only=True)
class Cleanup:
    """Something to tear down, reserved for this worker until `lease_expires_at`."""

    message_id: UUID
    kind: str
    reservation_token: UUID
    lease_expires_at: datetime
    delivery_count: int
    target: Mapping[str, Any]
    data: Mapping[str, Any]


@dataclass
class WorkerChannel:
    """Keeps the channel open until it is cancelled: `await run()` backstage. Callbacks are called there and must not
    block.

    `healthy` says whether heartbeats go over the channel now: while it is not, they must go over HTTP. `disabled` says
    that the server has no channel, or none for this worker. `on_cleanup` returns whether everything is torn down; if
    not, or if it raises, somebody else may try.
    """

    hello: Hello
    on_pool: Callable[[WorkPoolResponse], None]
    on_work: Callable[[], None] = lambda: None
    on_cleanup: Callable[[Cleanup], Awaitable[bool]] | None = None
    settings: ClientSettings | None = None
    consumer_id: UUID = field(default_factory=uuid4)
    """By this the server tells processes of one worker name apart. Runs say it back in `X-Prefect-Worker-Id`."""

    healthy: bool = field(default=False, init=False)
    disabled: bool = field(default=False, init=False)
    pushes_work: bool = field(default=False, init=False)
    worker_id: UUID | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._connection = Connection(self.settings)
        self._sequence = 0
        self._jobs: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until cancelled, or until it is known that there is no channel."""
        failures = 0
        while not self.disabled:
            try:
                await self._once()
            except Lost as lost:
                self.disabled = lost.code in _FINAL_CODES
                failures = 0 if self.healthy else failures
                if self.disabled:
                    log.info("The worker channel is not available (%s); heartbeats go over HTTP.", lost.reason)
            except ApiUnreachable:
                pass
            except ClientError as error:
                self.disabled = True
                log.info("The worker channel is not available (%s); heartbeats go over HTTP.", error)
            finally:
                self.healthy = self.pushes_work = False
            if not self.disabled:
                await asyncio.sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])
                failures += 1

    async def _once(self) -> None:
        transport = await self._connection.transport()
        path = f"/work_pools/{path_part(self.hello.work_pool_name)}/workers/connect"
        async with opened(transport.settings, path) as socket:
            try:
                async with asyncio.timeout(_SETUP_SECONDS):
                    await self._send(socket, "worker.hello.v1", self._introduction())
                    ready = _payload(await receive_object(socket), "worker.ready.v1")
            except TimeoutError:
                raise Lost("the channel was not ready in time") from None
            self._welcomed(ready)
            beating = asyncio.create_task(self._beat(socket, float(ready["effective_heartbeat_interval_seconds"])))
            try:
                while True:
                    self._heard(socket, await receive_object(socket))
            finally:
                beating.cancel()
                for job in (*self._jobs, beating):
                    job.cancel()
                await asyncio.gather(beating, *self._jobs, return_exceptions=True)

    def _introduction(self) -> dict[str, Any]:
        hello = self.hello
        cleans = self.on_cleanup is not None and bool(hello.cleanup_kinds)
        return {
            "consumer_id": self.consumer_id,
            "worker_name": hello.worker_name,
            "worker_type": hello.worker_type,
            "heartbeat_interval_seconds": hello.heartbeat_seconds,
            "supported_channel_versions": [_VERSION],
            "requested_capabilities": [*_REQUIRED, _WORK_AVAILABLE, *((_CLEANUP,) if cleans else ())],
            "work_queue_names": list(hello.work_queue_names),
            "handled_cleanup_kinds": list(hello.cleanup_kinds) if cleans else [],
            "max_cleanup_concurrency": hello.cleanup_concurrency if cleans else None,
            "create_pool_if_not_found": hello.create_pool_if_not_found,
            "default_base_job_template": dict(hello.default_base_job_template),
            "worker_metadata": hello.metadata,
        }

    def _welcomed(self, ready: dict[str, Any]) -> None:
        accepted = ready["accepted_capabilities"]
        if not set(_REQUIRED).issubset(accepted):
            raise Lost("the server does not offer what a channel needs", 1002)
        self.worker_id = UUID(ready["worker_id"]) if ready.get("worker_id") else None
        self.pushes_work = _WORK_AVAILABLE in accepted
        self.healthy = True
        self._sequence = 0
        self._show(ready["initial_snapshot"])
        self.on_work()  # what came while nobody listened

    def _show(self, snapshot: dict[str, Any]) -> None:
        if snapshot["snapshot_sequence"] > self._sequence:
            self._sequence = snapshot["snapshot_sequence"]
            self.on_pool(WorkPoolResponse.model_validate(snapshot["work_pool"]))

    def _heard(self, socket: ClientConnection, frame: dict[str, Any]) -> None:
        kind, payload = frame.get("type"), frame.get("payload") or {}
        if kind == "work_pool.snapshot.v1":
            self._show(payload)
        elif kind == "work.available.v1":
            self.on_work()
        elif kind == "cleanup.message.v1" and self.on_cleanup is not None:
            job = asyncio.create_task(self._clean(socket, payload))
            self._jobs.add(job)
            job.add_done_callback(self._jobs.discard)

    async def _beat(self, socket: ClientConnection, seconds: float) -> None:
        beat = {
            "consumer_id": self.consumer_id,
            "worker_name": self.hello.worker_name,
            "heartbeat_interval_seconds": self.hello.heartbeat_seconds,
        }
        with contextlib.suppress(ConnectionClosed):
            while True:
                await asyncio.sleep(seconds)
                await self._send(socket, "worker.heartbeat.v1", beat)

    async def _clean(self, socket: ClientConnection, payload: dict[str, Any]) -> None:
        message = Cleanup(
            message_id=UUID(payload["message_id"]),
            kind=payload["kind"],
            reservation_token=UUID(payload["reservation_token"]),
            lease_expires_at=datetime.fromisoformat(payload["lease_expires_at"]),
            delivery_count=payload["delivery_count"],
            target=payload["target"],
            data=payload["data"],
        )
        receipt = {"message_id": message.message_id, "reservation_token": message.reservation_token}
        renewing = asyncio.create_task(self._renew(socket, message, receipt))
        reason = None
        try:
            assert self.on_cleanup is not None
            done = await self.on_cleanup(message)
        except Exception as error:
            log.exception("A clean-up of kind %s failed; another worker may try.", message.kind)
            done, reason = False, f"{type(error).__name__}: {error}"[:500]
        finally:
            renewing.cancel()
        with contextlib.suppress(ConnectionClosed):
            kind = "cleanup.ack.v1" if done else "cleanup.release.v1"
            await self._send(socket, kind, {**receipt, "reason": reason})

    async def _renew(self, socket: ClientConnection, message: Cleanup, receipt: dict[str, Any]) -> None:
        lease = max(1.0, (message.lease_expires_at - datetime.now(UTC)).total_seconds())
        with contextlib.suppress(ConnectionClosed):
            while True:
                await asyncio.sleep(lease / 2)
                await self._send(socket, "cleanup.renew.v1", {**receipt, "reason": None})

    async def _send(self, socket: ClientConnection, kind: str, payload: dict[str, Any]) -> None:
        frame = {"type": kind, "id": uuid4(), "sent_at": datetime.now(UTC), "payload": payload}
        await socket.send(encoded(frame).decode())


def _payload(frame: dict[str, Any], kind: str) -> dict[str, Any]:
    """The payload of the frame that must come now. Raises Lost."""
    payload = frame.get("payload")
    if frame.get("type") != kind or not isinstance(payload, dict):
        raise Lost(f"expected {kind}, not {frame.get('type')}", 1002)
    return payload
