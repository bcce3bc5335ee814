"""Processes of services alone, as operators start and kill them."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

from tests.support.database import Database
from tests.support.net import LOOPBACK, free_port
from tests.support.servers import ServicesProcess
from tests.support.wait import eventually


def _rows(database: Database) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in database.fetch("SELECT * FROM service")}


def _health(port: int) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/health", timeout=5) as answer:
        body: dict[str, Any] = json.loads(answer.read())
    return body


def test_two_processes_share_the_work_and_outlive_each_other(database: Database, workdir: Path) -> None:
    port = free_port()
    fast = {
        "SEMPRE_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "0.2",
        "SEMPRE_SERVER_SERVICES_HEALTH_PORT": str(port),
    }
    first = ServicesProcess(workdir, database, "first", fast)
    second = ServicesProcess(workdir, database, "second", {**fast, "SEMPRE_SERVER_SERVICES_HEALTH_PORT": "0"})
    first.start()
    try:
        expected = {"scheduler", "late_runs", "foreman", "repossessor", "cancellation_cleanup", "pause_expirations"}
        eventually(
            lambda: expected <= {name for name, row in _rows(database).items() if row["completed"]},
            "every service has completed a round",
            60,
            detail=lambda: _rows(database),
        )
        assert [row for row in _rows(database).values() if row["error"]] == []
        health = _health(port)
        assert health["healthy"]
        assert health["late"] == []
        assert expected <= set(health["seconds_since_last_round"])

        second.start()
        owner = _rows(database)["late_runs"]["owner"]
        eventually(lambda: _rows(database)["late_runs"]["owner"] != owner, "the other takes a turn", 60)
        assert first.process is not None
        first.process.kill()
        killed = _rows(database)["late_runs"]["completed"]
        eventually(lambda: _rows(database)["late_runs"]["completed"] > killed, "the survivor goes on", 30)
        assert second.process is not None
        assert second.process.terminate() in (0, None)
    finally:
        first.stop()
        second.stop()
