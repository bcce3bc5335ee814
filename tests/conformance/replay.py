"""Replays recorded traffic against a server and reports where the answers differ.

    python -m tests.conformance.replay --url http://127.0.0.1:4200/api hello_flow task_retries
    python -m tests.conformance.replay --url ... --all

Exchanges are sent one by one in the order of their start. Ids the server made are translated from the recorded to the
actual ones, times move to now. Exchanges in which the recording front injected a fault, or which were never answered,
are left out. Use a fresh database: names in the recordings are fixed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.conformance import traces
from tests.conformance.compare import Comparison, Ids, outgoing
from tests.conformance.traces import Record, Trace

NOT_RESENT = frozenset(
    {"host", "connection", "content-length", "accept-encoding", "transfer-encoding", "content-encoding"}
)
UPSERTS = frozenset({"/api/flows/"})
"""200 or 201 tells only whether an earlier trace had made it already."""

PACE = 0.5
"""Pauses of the recording up to this are kept, so that times in a burst keep their order; longer ones are skipped."""


@dataclass(frozen=True)
class Mismatch:
    """One difference: exchange number in the trace, what was asked, what differed."""

    number: int
    request: str
    what: str

    def __str__(self) -> str:
        return f"#{self.number} {self.request}: {self.what}"


@dataclass
class Report:
    """Result of one trace."""

    name: str
    sent: int = 0
    left_out: int = 0
    mismatches: list[Mismatch] = field(default_factory=list)

    @property
    def differing(self) -> int:
        """How many exchanges differ."""
        return len({mismatch.number for mismatch in self.mismatches})


class Replayer:
    """Replays traces one after the other against one server; ids learned in one are known in the next.

    `patience`: seconds for which a reading request is repeated while its answer differs, because services work later.
    `longest_wait`: seconds the replay waits per trace at most where the recorded client waited too: for a scheduled
    time, for a slot, for a run to become due.
    """

    def __init__(self, api_url: str, *, patience: float = 2.0, longest_wait: float = 40.0) -> None:
        self.root = api_url.rstrip("/").removesuffix("/api")
        self.http = httpx.Client(base_url=self.root, timeout=30.0)
        self.ids = Ids()
        self.done: set[str] = set()
        self.patience = patience
        self.longest_wait = longest_wait

    def close(self) -> None:
        self.http.close()

    def replay_with_setup(self, name: str) -> Report:
        """Replay a trace after those it builds on, unless they were replayed before."""
        trace = traces.load(name)
        for earlier in trace.needs():
            if earlier not in self.done:
                self.replay(traces.load(earlier))
        return self.replay(trace)

    def replay(self, trace: Trace) -> Report:
        self.done.add(trace.name)
        run = _Run(self, trace)
        try:
            for record in trace.records:
                run.take(record)
        finally:
            run.close()
        return run.report


class _Run:
    """One trace under way."""

    def __init__(self, replayer: Replayer, trace: Trace) -> None:
        self.replayer = replayer
        self.trace = trace
        self.report = Report(trace.name)
        self.sockets: dict[int, ClientConnection] = {}
        self.opened = contextlib.ExitStack()
        self.waits_left = replayer.longest_wait
        self.last: tuple[float, float] | None = None
        self.channel_answers = [
            record for record in trace.records
            if record["kind"] == "ws_msg" and record["dir"] == "s2c" and kind_of(record) == "worker.ready.v1"
        ]  # fmt: skip

    def close(self) -> None:
        self.opened.close()

    def take(self, record: Record) -> None:
        kind = record["kind"]
        if kind in ("note", "process"):
            return
        self.keep_pace(record["t"])
        if kind == "http":
            self.exchange(record)
        elif kind == "ws_open" and record["path"].endswith(SOCKETS) and record["status"] == 101:
            self.open(record)
        elif kind == "ws_msg" and record["ws"] in self.sockets and record["dir"] == "c2s":
            self.send(record)
        elif kind == "ws_close" and record["ws"] in self.sockets:
            self.sockets.pop(record["ws"]).close()

    def keep_pace(self, moment: float) -> None:
        now = time.monotonic()
        if self.last and moment - self.last[0] <= PACE:
            time.sleep(max(0.0, self.last[1] + moment - self.last[0] - now))
        self.last = (moment, time.monotonic())

    def shift(self, record: Record) -> timedelta:
        if self.trace.epoch is None:
            return timedelta(0)
        return datetime.now(UTC) - (self.trace.epoch + timedelta(seconds=record["t"]))

    def translate(self, record: Record, value: Any) -> Any:
        return outgoing(value, self.replayer.ids, self.trace.epoch, self.shift(record))

    def differ(self, record: Record, what: str) -> None:
        number = record.get("n", 0)
        self.report.mismatches.append(Mismatch(number, f"{record.get('method', 'WS')} {record.get('path', '')}", what))

    # HTTP

    def exchange(self, record: Record) -> None:
        expected = expected_answer(record)
        cut = isinstance(record["req_body"], dict) and record["req_body"].get("__cut__")
        if expected is None or cut:
            self.report.left_out += 1
            return
        self.report.sent += 1
        if record["path"].startswith(SCHEMA_LOOKUP) and expected[0] == 200:
            self.register_schema(expected[1])
        deadline = time.monotonic() + (self.replayer.patience if reads(record) else 0)
        while True:
            ids = self.replayer.ids.copy()
            response = self.request(record)
            differences = check(response, expected, record, ids)
            if not differences:
                break
            if time.monotonic() > deadline and not must_wait(record, expected, response):
                break
            if self.waits_left <= 0:
                break
            wait = min(must_wait(record, expected, response), self.waits_left)
            self.waits_left -= wait
            if wait:
                deadline = max(deadline, time.monotonic() + wait + 1)
            time.sleep(wait or 0.2)
        self.replayer.ids.known.update(ids.known)
        for what in differences:
            self.differ(record, what)

    def register_schema(self, schema: Any) -> None:
        """Tell the server of a block's schema that the recorded one knew beforehand, as a client would."""
        told = [record["resp_body"] for record in self.trace.records if record.get("path") == "/api/block_schemas/"]
        if any(answer["checksum"] == schema["checksum"] for answer in told):
            return
        slug = schema["block_type"]["slug"]
        block_type = self.replayer.http.get(f"/api/block_types/slug/{slug}").json()
        told_of = {key: schema[key] for key in ("fields", "capabilities", "version")}
        body = {**told_of, "block_type_id": block_type["id"]}
        self.replayer.http.post("/api/block_schemas/", json=body).raise_for_status()

    def request(self, record: Record) -> httpx.Response:
        headers = {name: value for name, value in record["req_headers"].items() if name.lower() not in NOT_RESENT}
        ids = self.replayer.ids
        body = record["req_body"]
        content: bytes | None = None
        if body is not None:
            content = json.dumps(self.translate(record, body)).encode() if not isinstance(body, str) else body.encode()
        path = ids.outgoing(record["path"]) + (f"?{ids.outgoing(record['query'])}" if record["query"] else "")
        return self.replayer.http.request(record["method"], path, headers=headers, content=content)

    # Websockets

    def open(self, record: Record) -> None:
        address = self.replayer.root.replace("http", "ws", 1) + record["path"]
        offered = [Subprotocol(name) for name in record["subprotocols_offered"]]
        try:
            connection = connect(address, subprotocols=offered or None, open_timeout=10)
            self.sockets[record["ws"]] = self.opened.enter_context(connection)
        except (OSError, WebSocketException) as error:
            self.differ(record, f"websocket refused: {error}")

    def send(self, record: Record) -> None:
        socket = self.sockets[record["ws"]]
        body = self.translate(record, record["body"])
        try:
            socket.send(json.dumps(body))
            if isinstance(body, dict) and body.get("type") == "auth":
                answer = json.loads(socket.recv(timeout=10))
                if answer != {"type": "auth_success"}:
                    self.differ(record, f"auth answered with {answer}")
            elif kind_of(record) == "worker.hello.v1":
                self.channel_ready(record, json.loads(socket.recv(timeout=10)))
            else:
                # The pong says that what was sent is durable; without it reads that follow race with it.
                if not socket.ping().wait(10):
                    self.differ(record, "no pong within 10 s")
        except (OSError, WebSocketException, TimeoutError) as error:
            self.differ(record, f"websocket failed: {error!r}")
            self.sockets.pop(record["ws"])

    def channel_ready(self, record: Record, answer: Any) -> None:
        """A worker said hello: compare what the server tells it."""
        recorded = next(one for one in self.channel_answers if one["ws"] == record["ws"])
        comparison = Comparison(self.replayer.ids)
        comparison.compare(recorded["body"], answer)
        for what in comparison.found:
            self.differ(record, f"worker channel {what}")


SCHEMA_LOOKUP = "/api/block_schemas/checksum/"

SOCKETS = ("/events/in", "/workers/connect")
"""Websockets whose client side is replayed. Subscriptions are not: what they deliver depends on time alone."""


def kind_of(record: Record) -> str:
    body = record.get("body")
    return str(body.get("type")) if isinstance(body, dict) else ""


def must_wait(record: Record, expected: tuple[int, Any], response: httpx.Response) -> float:
    """Seconds the real client would now wait before it sends the same again; 0 if it would not."""
    path: str = record["path"]
    with contextlib.suppress(ValueError, TypeError, KeyError):
        if response.status_code == 423 and expected[0] == 200:
            return float(response.headers["Retry-After"]) + 0.05
        if path.endswith("/set_state") and response.json()["status"] == "WAIT" and expected[1]["status"] != "WAIT":
            return float(response.json()["details"]["delay_seconds"]) + 0.05
        if path.endswith(DUE) and len(response.json()) < len(expected[1]):
            return 1.0
    return 0.0


def reads(record: Record) -> bool:
    """Whether the request can be repeated without changing anything."""
    path: str = record["path"]
    asks = ("/filter", "/count", "/paginate", "/get_scheduled_flow_runs", "/history", "/set_state")
    return record["method"] == "GET" or path.endswith(asks)


def expected_answer(record: Record) -> tuple[int, Any] | None:
    """Status and body the server itself gave, or None where the recording does not tell."""
    fault = record.get("fault")
    if fault:
        if fault.get("action") != "drop_after" or record.get("upstream_status") is None:
            return None
        return int(record["upstream_status"]), record.get("upstream_body")
    # 503 was lock contention of the recorded server's database: the client's retry follows in the trace.
    if record["status"] in (None, 502, 503):
        return None
    return int(record["status"]), record["resp_body"]


DUE = "/get_scheduled_flow_runs"
LISTINGS = ("/flows/filter", "/flow_runs/filter")
ALIVE = ("/workers/filter", DUE)


def depends_on_history(record: Record) -> bool:
    """Whether the answer lists the newest of everything, or what is alive or due now: members may differ then."""
    path: str = record["path"]
    return path.endswith(ALIVE) or (path.endswith(LISTINGS) and "any_" not in json.dumps(record["req_body"]))


def check(response: httpx.Response, expected: tuple[int, Any], record: Record, ids: Ids) -> list[str]:
    """Differences between an answer and the recorded one."""
    status, body = expected
    path = record["path"]
    either = {200, 201}
    if response.status_code != status and not (path in UPSERTS and {response.status_code, status} <= either):
        return [f"status: recorded {status}, got {response.status_code} {response.text[:200]}"]
    try:
        actual = response.json() if response.content else None
    except ValueError:
        actual = response.text
    comparison = Comparison(ids)
    if path.endswith("/admin/version"):
        return [] if isinstance(actual, str) else [f"version is {actual!r}"]
    comparison.compare(body, actual)
    if not depends_on_history(record):
        return comparison.found
    fewer = path.endswith(DUE) and isinstance(actual, list) and len(actual) < len(body)
    return comparison.found if fewer else [what for what in comparison.found if not what.startswith("$: ")]


def reports(api_url: str, names: list[str], patience: float) -> Iterator[Report]:
    replayer = Replayer(api_url, patience=patience)
    try:
        for name in names:
            yield replayer.replay_with_setup(name)
    finally:
        replayer.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="API URL, ending in /api")
    parser.add_argument("--all", action="store_true", help="every trace that can be replayed, in recorded order")
    parser.add_argument("--patience", type=float, default=2.0, help="seconds to wait for services (default 2)")
    parser.add_argument("--lines", type=int, default=12, help="differences shown per trace (default 12)")
    parser.add_argument("names", nargs="*", help="traces; none and no --all lists them")
    options = parser.parse_args()
    replayable = [name for name in traces.names() if name not in traces.NOT_REPLAYABLE]
    names = replayable if options.all else options.names
    console = Console(highlight=False, soft_wrap=True)
    if not names:
        console.print("\n".join(replayable))
        return 2
    table = Table("trace", "sent", "left out", "differ")
    total = 0
    for report in reports(options.url, names, options.patience):
        table.add_row(report.name, str(report.sent), str(report.left_out), str(report.differing))
        total += report.differing
        for mismatch in report.mismatches[: options.lines]:
            console.print(f"{report.name} {mismatch}", markup=False)
        if len(report.mismatches) > options.lines:
            console.print(f"{report.name} ... {len(report.mismatches) - options.lines} more", markup=False)
    console.print(table)
    return 1 if total else 0


if __name__ == "__main__":
    raise SystemExit(main())
