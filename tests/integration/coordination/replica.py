"""A process that runs services of the test: ``python -m tests.integration.coordination.replica SERVICES``.

SERVICES is JSON: for each service its ``interval``, and how many ``seconds`` a round takes; ``error`` is how it ends.
Each round writes a row into the table ``round`` when it begins, with the turn that it is: its start and its fence.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sempre.server.resources import open_resources
from sempre.server.scope import Scope
from sempre.server.services.service import Service
from sempre.server.services.supervisor import Supervisor
from sempre.server.settings import load_settings
from tests.support.database import Database
from tests.support.processes import ManagedProcess
from tests.support.servers import sempre_environment

TABLE = """
CREATE TABLE IF NOT EXISTS round (
    service text NOT NULL, name text NOT NULL, began timestamptz NOT NULL DEFAULT clock_timestamp(),
    turn timestamptz NOT NULL, fence bigint NOT NULL
)
"""
_ROUND = "INSERT INTO round (service, name, turn, fence) SELECT name, $2, started, fence FROM service WHERE name = $1"


def start(
    name: str, services: Mapping[str, Any], workdir: Path, database: Database, env: Mapping[str, str] | None = None
) -> ManagedProcess:
    """In the background; its services run when it says so."""
    workdir.mkdir(exist_ok=True, parents=True)
    argv = [sys.executable, "-m", "tests.integration.coordination.replica", name, json.dumps(services)]
    more = {"SEMPRE_SERVER_SERVICES_DRAIN_SECONDS": "1", **(env or {})}
    return ManagedProcess.start(
        name, argv, log_dir=workdir, env=sempre_environment(workdir, database, more), cwd=Path.cwd()
    )


def _service(replica: str, service: str, spec: Mapping[str, Any]) -> Service:
    async def run(scope: Scope) -> None:
        await scope.db.execute(_ROUND, service, replica)
        await asyncio.sleep(spec.get("seconds", 0))
        if "error" in spec:
            raise ValueError(spec["error"])

    return Service(
        name=service,
        description="",
        section="late_runs",
        enabled=lambda settings: True,
        interval=lambda settings: float(spec["interval"]),
        run=run,
    )


async def _main(replica: str, services: Mapping[str, Any]) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with open_resources(load_settings(env=dict(os.environ))) as scope:
        supervisor = Supervisor(scope, [_service(replica, *item) for item in services.items()])
        supervisor.start()
        print("started", flush=True)
        await stopped.wait()
        await supervisor.stop()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main(sys.argv[1], json.loads(sys.argv[2])))
