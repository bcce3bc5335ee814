"""What the observer tells the API about runs: crashes nobody else can tell of, pods that wait, and why."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sempre.client import Client, get_client, shipping
from sempre.client.errors import ApiUnreachable, ClientError, ObjectNotFound
from sempre.core.dispatching import waiting_id
from sempre.core.states import TERMINAL, StateType
from sempre.schemas.flow_runs import FlowRunResponse
from sempre.settings import ClientSettings
from sempre.workers.kubernetes.diagnosis import Diagnosis

__all__ = ["DELETED", "NO_PODS", "RunTeller"]

NO_PODS = "No active or succeeded pods found for any job"
DELETED = "Kubernetes job was deleted"
LOGGER = "sempre.flow_runs.worker"
OTHERS_SECONDS = 5.0  # a worker that did not start the run lets the one that did speak first
PAUSE_SECONDS = 10.0

# These have ended, or somebody else brings them to an end.
_LEFT_ALONE = TERMINAL | {StateType.SCHEDULED, StateType.PAUSED, StateType.CANCELLING}

log = logging.getLogger("sempre.workers.kubernetes")


class RunTeller:
    """Speaks for one worker; `at_once` is about how many runs the API is asked at the same time."""

    def __init__(self, settings: ClientSettings, *, at_once: int) -> None:
        self._settings = settings
        self._places = asyncio.Semaphore(at_once)

    async def crashed(
        self,
        run_id: UUID,
        message: str,
        lives_on: Callable[[], Awaitable[bool]],
        last_lines: Callable[[], Awaitable[list[str]]],
    ) -> bool:
        """The job of a run failed or is gone. Unless the run `lives_on` in another, or has ended, it is crashed.
        Whether it lives on.

        Outlasts an API that is away. Many workers may tell of the same job: the first is heard.
        """
        while True:
            try:
                return await self._crash(run_id, message, lives_on, last_lines)
            except ApiUnreachable as error:
                log.warning("Flow run %s ended, and that could not be told yet: %s", run_id, error)
                await asyncio.sleep(PAUSE_SECONDS)
            except ClientError:
                log.exception("That flow run %s ended could not be told.", run_id)
                return False

    async def _crash(
        self,
        run_id: UUID,
        message: str,
        lives_on: Callable[[], Awaitable[bool]],
        last_lines: Callable[[], Awaitable[list[str]]],
    ) -> bool:
        async with get_client(settings=self._settings) as client:
            if await self._live(client, run_id) is None:
                return False
            if await lives_on():
                return True
            run = await self._live(client, run_id)  # it may have ended while another job was waited for
            if run is None:
                return False
            lines = await last_lines() if run.start_time is None else []  # before they are gone
            answer = await client.set_flow_run_state(run_id, {"type": "CRASHED", "name": "Crashed", "message": message})
            if answer.status == "ACCEPT" and lines:
                self._forward(run_id, lines)
            return False

    async def _live(self, client: Client, run_id: UUID) -> FlowRunResponse | None:
        """The run, if it is one that can crash."""
        async with self._places:
            try:
                run = await client.read_flow_run(run_id)
            except ObjectNotFound:  # of another server, or deleted
                return None
        return run if run.state is not None and run.state.type not in _LEFT_ALONE else None

    async def waits(self, run_id: UUID) -> None:
        """A pod was made and does not run yet."""
        try:
            async with get_client(settings=self._settings) as client:
                run = await self._live(client, run_id)
                state = run.state if run is not None else None
                # Only what a worker has claimed: a run that was taken back meanwhile must stay free.
                if state is not None and state.type is StateType.PENDING and state.name != "InfrastructurePending":
                    before = state.state_details.transition_id
                    details = {} if before is None else {"transition_id": waiting_id(before)}
                    pending = {"type": "PENDING", "name": "InfrastructurePending", "state_details": details}
                    await client.set_flow_run_state(run_id, pending)
        except ClientError as error:
            log.debug("That the pod of flow run %s waits could not be told: %s", run_id, error)

    async def diagnosed(self, run_id: UUID, diagnosis: Diagnosis, *, ours: bool) -> None:
        """Tell the run's readers what is wrong, once, however many workers see it."""
        message = str(diagnosis)
        if not ours:
            await asyncio.sleep(OTHERS_SECONDS * random.uniform(1, 2))  # noqa: S311
        about = {"flow_run_id": {"any_": [str(run_id)]}, "level": {"ge_": logging.WARNING}}
        try:
            async with get_client(settings=self._settings) as client, self._places:
                said = await client.read_logs(about, sort="TIMESTAMP_DESC")
        except ClientError as error:
            log.debug("Whether flow run %s was told of %s is not known: %s", run_id, diagnosis.kind, error)
            return
        if not any(line.message == message for line in said):
            self._say(run_id, logging.ERROR if diagnosis.hopeless else logging.WARNING, message)

    def event(self, event: Mapping[str, Any]) -> None:
        shipping.current(self._settings).event(event)

    def _forward(self, run_id: UUID, lines: list[str]) -> None:
        self._say(run_id, logging.ERROR, f"The run crashed before it began. The last {len(lines)} lines of its pod:")
        for line in lines:
            self._say(run_id, logging.INFO, line.partition(" ")[2])

    def _say(self, run_id: UUID, level: int, message: str) -> None:
        line = {
            "name": LOGGER,
            "level": level,
            "timestamp": datetime.now(UTC).isoformat(),
            "message": message,
            "flow_run_id": str(run_id),
            "task_run_id": None,
        }
        shipping.current(self._settings).log(line)
