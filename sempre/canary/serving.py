"""Canaries as scheduled deployments, and the process that executes their runs."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sempre.canary.canary import Canary
from sempre.canary.clean_up import SCHEDULED_FLOW
from sempre.canary.scheduled import ENTRYPOINT
from sempre.canary.stage import TAG
from sempre.client import ClientError, get_client
from sempre.schemas.flow_runs import FlowRunResponse

__all__ = ["Serving"]

_LOOK_SECONDS = 2.0
_PATIENCE_SECONDS = 10.0  # of a look: the next one comes anyway
_NOTHING_STRANGE = {"type": "CANCELLED", "message": "A later run of the same canary is due already."}


class Serving:
    """Deploys canaries with a schedule each and executes what is due, until it is stopped.

    Any number of these may serve one installation: a run is claimed by one of them. Canaries begin `every` so many
    seconds, spread evenly over that time; `limit` is how many are played at once. Of runs that were missed only the
    latest is played.
    """

    def __init__(self, canaries: Sequence[Canary], *, every: float, limit: int, seconds: float | None = None) -> None:
        self._canaries = canaries
        self._every = every
        self._limit = limit
        self._seconds = seconds
        self._client = get_client(sync_client=True, patience=_PATIENCE_SECONDS)
        self._deployments: list[UUID] = []
        self._processes: dict[UUID, subprocess.Popen[bytes]] = {}
        self._stop = threading.Event()

    def deploy(self) -> None:
        """Make the deployments, or bring them up to date. ClientError if the API refuses."""
        flow_id = self._client.create_flow_from_name(SCHEDULED_FLOW, tags=[TAG])
        start = datetime.now(UTC).replace(microsecond=0)
        for number, canary in enumerate(self._canaries):
            anchor = start + timedelta(seconds=self._every * number / len(self._canaries))
            schedule = {"interval": self._every, "anchor_date": anchor.isoformat(), "timezone": "UTC"}
            id = self._client.create_deployment(
                flow_id,
                canary.name,
                entrypoint=ENTRYPOINT,
                description=f"It is healthy if {canary.about}.",
                parameters={"name": canary.name, "seconds": self._seconds},
                schedules=[{"schedule": schedule, "active": True}],
                paused=False,
                tags=[TAG],
            )
            self._deployments.append(id)

    def run(self) -> None:
        """Execute what is due until `stop`; then let the canaries that play come to their end, and pause the others."""
        while not self._stop.is_set():
            self._forget_ended()
            with contextlib.suppress(ClientError):  # the API is away: the next look finds what was due
                self._look()
            self._stop.wait(_LOOK_SECONDS)
        for id in self._deployments:
            with contextlib.suppress(ClientError):
                self._client.pause_deployment(id)
        for process in self._processes.values():
            process.wait()

    def stop(self) -> None:
        """Begin no more canaries. A second time: end those that play."""
        if self._stop.is_set():
            for process in self._processes.values():
                process.terminate()
        self._stop.set()

    def _forget_ended(self) -> None:
        self._processes = {id: process for id, process in self._processes.items() if process.poll() is None}

    def _look(self) -> None:
        due = self._client.get_scheduled_flow_runs_for_deployments(self._deployments, datetime.now(UTC).isoformat())
        latest: dict[UUID | None, FlowRunResponse] = {}
        for run in due:
            known = latest.get(run.deployment_id)
            newest = run if known is None else max(known, run, key=_due)
            latest[run.deployment_id] = newest
            if known is not None:
                self._client.set_flow_run_state((known if newest is run else run).id, _NOTHING_STRANGE)
        for run in sorted(latest.values(), key=_due):
            if len(self._processes) >= self._limit:
                return
            if self._client.set_flow_run_state(run.id, {"type": "PENDING"}).status == "ACCEPT":
                self._processes[run.id] = _execute(run.id)


def _due(run: FlowRunResponse) -> float:
    moment = run.next_scheduled_start_time or run.expected_start_time
    return time.time() if moment is None else moment.timestamp()


def _execute(run_id: UUID) -> subprocess.Popen[bytes]:
    # A group of its own: a Ctrl-C for this process lets canaries end.
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "sempre.sdk.execute", str(run_id)], env=dict(os.environ), start_new_session=True
    )
