"""A program beside the flow: sends events and logs, and keeps a ledger of those that were acknowledged.

Events go over the websocket; a pong says that everything sent before its ping is safe. What was not confirmed when the
connection broke is sent again under the same ids, as the protocol's client does. Log lines have no id: a post that
was not answered is repeated and may be stored twice. Ends on SIGTERM, after a last confirmation.
Run as `python -m tests.chaos.witness API_URL LEDGER`.
"""

from __future__ import annotations

import argparse
import json
import signal
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.chaos.ledger import Ledger
from tests.support.events import an_event

BATCH = 25
_ANSWER_SECONDS = 10.0
_PAUSE_SECONDS = 0.05
_LAST_SECONDS = 60.0


class Witness:
    def __init__(self, url: str, ledger: Ledger) -> None:
        self.url = url
        self.ledger = ledger
        self.stopping = threading.Event()
        self.ended = threading.Event()

    def events(self) -> None:
        batch = self._batch()
        while batch:
            try:
                with self._connected() as socket:
                    while batch:
                        for event in batch:
                            socket.send(json.dumps(event))
                        if not socket.ping().wait(_ANSWER_SECONDS):
                            raise TimeoutError("no pong")
                        for event in batch:
                            self.ledger.write("event", id=event["id"])
                        self.stopping.wait(_PAUSE_SECONDS)
                        batch = self._batch()
            except (OSError, WebSocketException):
                self.ended.wait(_PAUSE_SECONDS)
                if self.ended.is_set():
                    raise

    def logs(self) -> None:
        with httpx.Client(base_url=self.url, timeout=_ANSWER_SECONDS) as http:
            while not self.stopping.is_set():
                stamp = datetime.now(UTC).isoformat()
                messages = [f"witness {uuid.uuid4()}" for _ in range(5)]
                lines = [{"name": "w", "level": 20, "message": text, "timestamp": stamp} for text in messages]
                try:
                    if http.post("/logs/", json=lines).is_success:
                        for text in messages:
                            self.ledger.write("log", message=text)
                except httpx.TransportError:
                    pass  # not acknowledged: nothing was promised
                self.stopping.wait(_PAUSE_SECONDS)

    def _batch(self) -> list[dict[str, object]]:
        if self.stopping.is_set():
            return []
        return [an_event("witness.saw", f"witness.{number}", n=number) for number in range(BATCH)]

    @contextmanager
    def _connected(self) -> Iterator[ClientConnection]:
        url = self.url.replace("http", "ws", 1) + "/events/in"
        protocols = [Subprotocol("prefect")]
        with connect(url, subprotocols=protocols, open_timeout=_ANSWER_SECONDS, close_timeout=1) as socket:
            socket.send(json.dumps({"type": "auth", "token": None}))
            answer = json.loads(socket.recv(timeout=_ANSWER_SECONDS))
            assert answer == {"type": "auth_success"}, answer
            yield socket


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("ledger", type=Path)
    options = parser.parse_args()
    witness = Witness(options.url, Ledger(options.ledger))
    signal.signal(signal.SIGTERM, lambda *_: witness.stopping.set())
    failures: list[BaseException] = []

    def guarded(part: Callable[[], None]) -> None:
        try:
            part()
        except BaseException as error:
            failures.append(error)
            witness.stopping.set()
            raise

    threads = [threading.Thread(target=guarded, args=(part,), daemon=True) for part in (witness.events, witness.logs)]
    for thread in threads:
        thread.start()
    witness.stopping.wait()
    for thread in threads:
        thread.join(_LAST_SECONDS)
    witness.ended.set()
    raise SystemExit(1 if failures or any(thread.is_alive() for thread in threads) else 0)


if __name__ == "__main__":
    main()
