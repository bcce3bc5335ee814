"""Writes deploy/grafana/sempre.json, the Grafana dashboard, from a list of panels: ``python scripts/dashboard.py``.

``--check`` writes nothing and fails when the file is not what this list says (part of ``make lint``).
"""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

FILE = Path(__file__).parents[1] / "deploy" / "grafana" / "sempre.json"

_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_COLUMNS = 24
_HEIGHT = 8


class Panel(NamedTuple):
    """``queries`` are (expression, legend). ``unit`` as Grafana names it; ``note`` says what to make of it."""

    title: str
    queries: Sequence[tuple[str, str]]
    unit: str = "short"
    note: str = ""
    kind: str = "timeseries"
    width: int = 8


def _stat(title: str, query: str, unit: str = "short", note: str = "") -> Panel:
    return Panel(title, [(query, "")], unit, note, "stat", 4)


_ALL = 'job=~"$job"'

ROWS: Sequence[tuple[str, Sequence[Panel]]] = (
    (
        "At a glance",
        [
            _stat("Processes up", f"sum(up{{{_ALL}}})"),
            _stat("Postgres reachable", f"min(sempre_database_reachable{{{_ALL}}})", note="1: by every process."),
            _stat("Requests", f"sum(rate(sempre_http_requests_total{{{_ALL}}}[5m]))", "reqps"),
            _stat(
                "Answers of 500 and above",
                f'sum(rate(sempre_http_requests_total{{{_ALL},status=~"5.."}}[5m]))', "reqps",
                "503 is what clients retry; 500 is a fault worth a report.",
            ),
            _stat("Runs late", f'max(sempre_flow_runs{{{_ALL},state="Late"}}) or vector(0)'),
            _stat(
                "Most overdue service", f"max(sempre_service_overdue_seconds{{{_ALL}}})", "s",
                "Seconds that a periodic service has been due without anybody running it.",
            ),
        ],
    ),
    (
        "API",
        [
            Panel("Requests by route", [
                (f"topk(10, sum by (method, route) (rate(sempre_http_requests_total{{{_ALL}}}[5m])))",
                 "{{method}} {{route}}")], "reqps"),
            Panel("Time to answer", [
                (f"histogram_quantile({q}, sum by (le) (rate(sempre_http_request_seconds_bucket{{{_ALL}}}[5m])))",
                 f"p{round(100 * q)}") for q in (0.5, 0.95, 0.99)], "s"),
            Panel("Answers by status", [
                (f"sum by (status) (rate(sempre_http_requests_total{{{_ALL}}}[5m]))", "{{status}}")], "reqps"),
            Panel("Requests in flight", [(f"sempre_http_requests_in_flight{{{_ALL}}}", "{{instance}}")]),
            Panel("Open websockets", [(f"sempre_websockets_open{{{_ALL}}}", "{{instance}}")]),
            Panel("Events waiting to be written", [(f"sempre_events_waiting{{{_ALL}}}", "{{instance}}")],
                  note="Grows while Postgres is slow or away; senders wait once it is full."),
        ],
    ),
    (
        "Work",
        [
            Panel("Flow runs that are not over", [
                (f"max by (state) (sempre_flow_runs{{{_ALL}}})", "{{state}}")]),
            Panel("Concurrency slots", [
                (f'max by (expired) (sempre_concurrency_slots{{{_ALL}}})', "expired: {{expired}}")]),
            Panel("Workers", [(f"max by (status) (sempre_workers{{{_ALL}}})", "{{status}}")]),
        ],
    ),
    (
        "Background services",
        [
            Panel("Overdue", [
                (f"max by (service) (sempre_service_overdue_seconds{{{_ALL}}})", "{{service}}")], "s",
                "Nobody runs it: no process has it enabled, or all of them are stuck."),
            Panel("Since the last completed round", [
                (f"max by (service) (sempre_service_last_completed_seconds{{{_ALL}}})", "{{service}}")], "s"),
            Panel("Age of loops", [
                (f"max by (instance, service) (sempre_loop_age_seconds{{{_ALL}}})", "{{instance}} {{service}}")], "s",
                "Since a loop of this process last came round, whoever had the turn."),
            Panel("Log consumers: events behind", [
                (f"max by (consumer) (sempre_log_consumer_lag_events{{{_ALL}}})", "{{consumer}}")]),
            Panel("Log consumers: age of the oldest unread event", [
                (f"max by (consumer) (sempre_log_consumer_lag_seconds{{{_ALL}}})", "{{consumer}}")], "s"),
            Panel("Actions of automations", [
                (f"sum(max by (outside) (sempre_actions_owed{{{_ALL}}}))", "owed"),
                (f"max(sempre_actions_overdue_seconds{{{_ALL}}})", "seconds overdue")]),
        ],
    ),
    (
        "Postgres and Redis",
        [
            Panel("Connections to Postgres", [
                (f'sempre_database_connections{{{_ALL},state="busy"}}', "{{instance}} busy"),
                (f'sempre_database_connections{{{_ALL},state="idle"}}', "{{instance}} idle")]),
            Panel("Waiting for a connection", [(f"sempre_database_waiting{{{_ALL}}}", "{{instance}}")],
                  note="More than none for long: raise the pool size, or look for slow statements."),
            Panel("Redis reachable", [(f"min by (role) (sempre_redis_reachable{{{_ALL}}})", "{{role}}")],
                  note="0 costs latency only; everything goes on over Postgres."),
        ],
    ),
    (
        "Processes",
        [
            Panel("CPU", [(f"rate(process_cpu_seconds_total{{{_ALL}}}[5m])", "{{instance}}")], "percentunit"),
            Panel("Memory", [(f"process_resident_memory_bytes{{{_ALL}}}", "{{instance}}")], "bytes"),
            Panel("Dead letters", [(f"max by (consumer) (sempre_dead_letters{{{_ALL}}})", "{{consumer}}")],
                  note="Events that a consumer could not use; they are kept in event_dead_letter."),
        ],
    ),
)  # fmt: skip


def dashboard() -> dict[str, Any]:
    return {
        "title": "Sempre",
        "uid": "sempre",
        "tags": ["sempre"],
        "timezone": "browser",
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [_datasource_choice(), _job_choice()]},
        "panels": list(_panels()),
    }


def expressions() -> list[str]:
    """Every query of the dashboard."""
    return [expression for _, panels in ROWS for panel in panels for expression, _ in panel.queries]


def _datasource_choice() -> dict[str, Any]:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}


def _job_choice() -> dict[str, Any]:
    return {
        "name": "job",
        "label": "Job",
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": "label_values(sempre_info, job)", "refId": "jobs"},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
    }


def _panels() -> Iterator[dict[str, Any]]:
    number, y = 0, 0
    for title, panels in ROWS:
        number += 1
        yield {"id": number, "type": "row", "title": title, "gridPos": {"h": 1, "w": _COLUMNS, "x": 0, "y": y}}
        y += 1
        x = height = 0
        for panel in panels:
            if x + panel.width > _COLUMNS:
                x, y = 0, y + height
            height = _HEIGHT if panel.kind == "timeseries" else _HEIGHT // 2
            number += 1
            yield _drawn(panel, number, {"h": height, "w": panel.width, "x": x, "y": y})
            x += panel.width
        y += height


def _drawn(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.note,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(65 + index), "datasource": _SOURCE, "expr": expression, "legendFormat": legend}
            for index, (expression, legend) in enumerate(panel.queries)
        ],
    }


def main() -> int:
    made = json.dumps(dashboard(), indent=1) + "\n"
    if "--check" not in sys.argv[1:]:
        FILE.write_text(made)
        return 0
    if not FILE.exists() or FILE.read_text() != made:
        print("deploy/grafana/sempre.json is not what the list of panels says: python scripts/dashboard.py")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
