"""Recorded traffic of real clients: where it is and how it is read."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

Record = dict[str, Any]

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?")

SETUP = {"rec-pool": ("work_pool_cli", "deploy_and_process_worker")}
"""Text found in a trace's requests -> traces that made what it names."""

NOT_REPLAYABLE = {
    "auth_and_csrf": "its server had an auth string and CSRF protection switched on",
    "fault_ws_close_codes": "its content is what a faulty front did to websockets",
    "flow_run_execute": "its runs were made by the recorder, outside of the recording",
    "events_out_refused": "works on a run of flow_run_execute",
    "serve_cancel_after_ws_close": "its runs were made by the recorder, outside of the recording",
    "cli_probes": "shows which paths of the UI and of health the CLI asks, with the recorded server's own pages",
}


def directory() -> Path:
    """SEMPRE_TRACES, or the traces beside the checkout. The repository does not contain them."""
    named = os.environ.get("SEMPRE_TRACES")
    root = Path(__file__).resolve().parents[2]
    return Path(named) if named else root.parent / "shared" / "data" / "traces"


@dataclass
class Trace:
    """One scenario: its records by start time, and the wall-clock time of its second 0."""

    name: str
    records: list[Record]
    epoch: datetime | None

    def needs(self) -> list[str]:
        """Traces that must have been replayed before."""
        text = " ".join(f"{record.get('path')} {record.get('req_body')}" for record in self.records)
        found = [name for mark, names in SETUP.items() if mark in text for name in names]
        return found[: found.index(self.name)] if self.name in found else found


def load(name: str) -> Trace:
    with (directory() / f"{name}.jsonl").open() as lines:
        records = [json.loads(line) for line in lines]
    records.sort(key=lambda record: float(record["t"]))
    return Trace(name, records, _epoch(records))


def names() -> list[str]:
    """Scenarios in the order in which they were recorded: later ones see what earlier ones left."""
    traces = [load(path.stem) for path in directory().glob("*.jsonl")]
    traces.sort(key=lambda trace: (trace.epoch is None, trace.epoch and trace.epoch.timestamp(), trace.name))
    return [trace.name for trace in traces]


def parse_time(text: str) -> datetime:
    """Aware datetime of an ISO text, with a blank or a T in the middle."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else datetime.fromisoformat(text + "+00:00")


def _epoch(records: list[Record]) -> datetime | None:
    """Second 0: an object was created, or an event emitted, when its record began, within milliseconds."""
    for record in records:
        body = record.get("resp_body") if record["kind"] == "http" and record["status"] == 201 else record.get("body")
        if isinstance(body, list) and body:
            body = body[0]
        if isinstance(body, dict):
            text = body.get("created") or body.get("occurred")
            if isinstance(text, str):
                return parse_time(text) - timedelta(seconds=record["t"])
    return _latest_seen(records)


def _latest_seen(records: list[Record]) -> datetime | None:
    """For scenarios that only read or poll: the newest time in an answer, or what a poll asked for, 10 s ahead."""
    for record in records:
        body = record.get("req_body")
        if isinstance(body, dict) and isinstance(body.get("scheduled_before"), str):
            return parse_time(body["scheduled_before"]) - timedelta(seconds=10 + record["t"])
    seen = re.findall(r"'updated': '([^']+)'", str([record.get("resp_body") for record in records]))
    return max(map(parse_time, seen), default=None)
