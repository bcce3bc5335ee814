"""Deliveries that outlast an outage: events, log lines, and calls whose answers nobody waits for.

Whoever ships returns at once. What the API does not take now waits in the journal on disk, in order, and goes out when
it is back: in this process, or in the next one of the same home.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine, Mapping
from typing import Any
from uuid import UUID, uuid4

from sempre.client import backstage
from sempre.client.connection import Connection
from sempre.client.courier import Away, Courier, Load, Unacceptable
from sempre.client.errors import ApiRefused, ClientError, refuses_ids
from sempre.client.event_sender import EventSender
from sempre.client.journal import Journal, orphans
from sempre.client.outbox import Outbox
from sempre.core.retrying import RetryRules
from sempre.settings import ClientSettings, get_current_settings

__all__ = ["Shipper", "current"]

_AT_ONCE = RetryRules(patience=0.0, heed_maintenance=False)
_EVENTS = Load(count=500, size=1 << 20, linger=0.005)
_CALLS = Load(count=1, size=1, linger=0.0)
# The request is at fault, and will be at any other time.
_HOPELESS = frozenset({400, 404, 405, 409, 410, 413, 422})

try:
    import orjson

    def encode(value: object) -> bytes:
        """JSON; ids and times become text, what has no JSON its `str`."""
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS)
except ImportError:

    def encode(value: object) -> bytes:
        """JSON; ids and times become text, what has no JSON its `str`."""
        return json.dumps(value, default=str, separators=(",", ":")).encode()


class _IdsUnknown(Unacceptable):
    """The API takes no ids of ours."""


class Shipper:
    """Ships to one API. Thread-safe; every method but `flush` returns at once."""

    def __init__(self, settings: ClientSettings) -> None:
        self.settings = settings
        self._connection = Connection(settings, patience=0)
        self._journal = Journal.of_process(settings)
        self._events = Outbox("events", self._journal)
        self._logs = Outbox("logs", self._journal)
        self._calls = Outbox("calls", self._journal)
        self._sender = EventSender(self._connection)
        boxes = (self._events, self._logs, self._calls)
        self._couriers = self._couriers_for(boxes, self._sender)
        self._tasks: set[asyncio.Task[None]] = set()
        self._log_ids = True  # until an API says that it knows none
        backstage.loop().call_soon_threadsafe(self._begin)
        backstage.at_exit(self._end)

    # --- from any thread -------------------------------------------------------------------------------

    def event(self, event: Mapping[str, Any] | bytes) -> None:
        """Ship an event: `id`, `occurred`, `event`, `resource`, and perhaps `related`, `payload`, `follows`."""
        self._events.put(event if isinstance(event, bytes) else encode(event))

    def log(self, line: Mapping[str, Any] | bytes) -> None:
        """Ship a log line: `name`, `level`, `message`, `timestamp`, `flow_run_id`, `task_run_id`; an `id` is made
        if there is none, by which the server knows a line that is sent again."""
        self._logs.put(line if isinstance(line, bytes) else encode({"id": uuid4(), **line}))

    def flow_run_state(self, flow_run_id: UUID | str, state: Mapping[str, Any], *, force: bool = False) -> None:
        """Propose a state without waiting for what becomes of it. Calls go out one by one, in the order they came."""
        details = dict(state.get("state_details") or {})
        details.setdefault("transition_id", str(uuid4()))
        body = {"state": {**state, "state_details": details}, "force": force}
        self.call("POST", f"/flow_runs/{flow_run_id}/set_state", body)

    def call(self, method: str, path: str, body: Any = None) -> None:
        """Make a call that is safe to repeat, some time, without an answer."""
        self._calls.put(encode({"method": method, "path": path, "body": body}))

    def flush(self, seconds: float) -> bool:
        """Wait until everything that was shipped is delivered, for at most so many seconds; True if it is."""
        return backstage.run(self.aflush(seconds))

    async def aflush(self, seconds: float) -> bool:
        """The same, to be awaited backstage."""
        done = await asyncio.gather(*(courier.flush(seconds) for courier in self._couriers))
        return all(done)

    @property
    def waiting(self) -> bool:
        """Whether something is not delivered yet."""
        return any((self._events, self._logs, self._calls))

    # --- backstage -------------------------------------------------------------------------------------

    def _couriers_for(self, boxes: tuple[Outbox, Outbox, Outbox], sender: EventSender) -> list[Courier]:
        events, logs, calls = boxes
        logging = self.settings.logging
        lines = Load(
            count=100_000,
            size=max(1, logging.to_api_batch_size - logging.to_api_max_log_size),
            linger=logging.to_api_batch_interval_seconds,
        )
        return [
            Courier(events, sender.deliver, _EVENTS),
            Courier(logs, self._deliver_logs, lines),
            Courier(calls, self._deliver_call, _CALLS),
        ]

    def _begin(self) -> None:
        for courier in self._couriers:
            self._start(courier.run())
        self._start(self._adopt())

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _adopt(self) -> None:
        """Deliver what dead processes left behind, all kinds of one at the same time."""
        for journal in await asyncio.to_thread(lambda: list(orphans(self.settings))):
            sender = EventSender(self._connection)
            boxes = (Outbox("events", journal), Outbox("logs", journal), Outbox("calls", journal))
            try:
                runs = (courier.run(until_empty=True) for courier in self._couriers_for(boxes, sender))
                await asyncio.gather(*runs)
            finally:
                journal.close()
                await sender.close()

    async def _deliver_logs(self, batch: list[bytes]) -> None:
        if self._log_ids:
            try:
                await self._post("POST", "/logs/", _array(batch))
                return
            except _IdsUnknown:
                self._log_ids = False
        await self._post("POST", "/logs/", _array([_without_id(line) for line in batch]))

    async def _deliver_call(self, batch: list[bytes]) -> None:
        call = json.loads(batch[0])
        content = None if call["body"] is None else encode(call["body"])
        await self._post(call["method"], call["path"], content)

    async def _post(self, method: str, path: str, content: bytes | None) -> None:
        try:
            transport = await self._connection.transport()
            await transport.request(_AT_ONCE, method, path, content)
        except ApiRefused as error:
            if error.status_code in _HOPELESS:
                raise (_IdsUnknown if refuses_ids(error) else Unacceptable)(str(error)) from None
            raise Away(str(error)) from None
        except ClientError as error:
            raise Away(str(error)) from None

    async def _end(self, seconds: float) -> None:
        """What cannot be delivered in time is left on disk, for the next process."""
        try:
            await self.aflush(seconds * 0.8)
        finally:
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for courier in self._couriers:
                courier.outbox.write_down()
            await self._sender.close()
            self._journal.close()
            with _lock:
                _shippers.remove(self)

    def forget(self) -> None:
        """Leave what is the parent's to the parent, in a forked child."""
        self._journal.forget()


def _array(items: list[bytes]) -> bytes:
    return b"[" + b",".join(items) + b"]"


def _without_id(line: bytes) -> bytes:
    return encode({key: value for key, value in json.loads(line).items() if key != "id"})


_shippers: list[Shipper] = []
_lock = threading.Lock()
_abandoned: list[Shipper] = []


def current(settings: ClientSettings | None = None) -> Shipper:
    """The shipper to the API of `settings` (default: those in force), one per process. Keep it where it is used
    often."""
    wanted = settings or get_current_settings()
    with _lock:
        for shipper in _shippers:
            known = shipper.settings
            if known is wanted or (known.api, known.home) == (wanted.api, wanted.home):
                return shipper
        made = Shipper(wanted)
        _shippers.append(made)
        return made


def _forget() -> None:
    global _lock
    _lock = threading.Lock()
    for shipper in _shippers:
        shipper.forget()
    _abandoned.extend(_shippers)
    _shippers.clear()


backstage.after_fork.append(_forget)
