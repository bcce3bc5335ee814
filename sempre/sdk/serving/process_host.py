"""The keeper's host of a runner: a process for each run, in the runner's directory and environment."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from weakref import WeakKeyDictionary

from sempre.client import shipping
from sempre.client.client import Client
from sempre.core.dispatching import Ending, Verdict
from sempre.schemas.flow_runs import FlowRun
from sempre.sdk.engine.related import related_to, with_tags
from sempre.sdk.serving.claim_folder import Claim, ClaimFolder
from sempre.sdk.serving.environment import attribution, settings_environment
from sempre.sdk.serving.flow_run_process import FlowRunProcess, LauncherLost, ProcessError, Processes, ProcessRequest
from sempre.sdk.serving.keeper import NothingStarted, Taken, Unstartable
from sempre.sdk.serving.player_events import RUNNER_NAME, cancelled_event
from sempre.settings import ClientSettings

__all__ = ["ProcessHost"]


class ProcessHost:
    """Starts and watches processes of this release."""

    def __init__(self, client: Client, settings: ClientSettings, runner_name: str) -> None:
        self._client = client
        self._settings = settings
        self._runner_name = runner_name
        self._processes = Processes()
        self._running: WeakKeyDictionary[Taken, FlowRunProcess] = WeakKeyDictionary()

    async def open(self) -> None:
        await self._processes.warm_up()

    async def close(self) -> None:
        await self._processes.close()

    async def started(self, run: FlowRun, folder: ClaimFolder) -> FlowRunProcess:
        """The process of a run. Raises ProcessError."""
        env = {
            **os.environ,
            **settings_environment(self._known_settings()),
            **attribution(flow_run_id=run.id, flow_id=run.flow_id, deployment_id=run.deployment_id),
            RUNNER_NAME: self._runner_name,
        }
        request = ProcessRequest(flow_run_id=run.id, folder=folder, env=env, working_dir=Path.cwd())
        return await self._processes.start(request)

    def _known_settings(self) -> ClientSettings:
        """Where no API was named a local server was found by now."""
        return dataclasses.replace(self._settings, api=self._client.settings.api)

    async def prepare(self, taken: Taken) -> None:
        """Everything is known already."""

    async def begin(self, taken: Taken) -> None:
        try:
            process = await self.started(taken.run, taken.folder)
        except LauncherLost as error:
            raise NothingStarted(str(error)) from error
        except ProcessError as error:
            raise Unstartable(str(error)) from error
        self._running[taken] = process
        taken.claim = taken.claim.started(str(process.pid))
        taken.folder.note(taken.claim)

    async def watch(self, taken: Taken) -> Ending:
        return Ending(await self._running[taken].wait())

    async def kill(self, taken: Taken, grace: float) -> None:
        await self._running[taken].kill(grace)

    def ended(self, taken: Taken, ending: Ending, verdict: Verdict) -> None:
        if verdict is Verdict.CANCELLED:
            run = taken.run
            related = related_to(
                deployment=(run.deployment_id, None), flow=(run.flow_id, None), flow_run=(run.id, run.name)
            )
            told = cancelled_event(self._runner_name, with_tags(related, sorted(run.tags)))
            shipping.current(self._known_settings()).event(told)

    async def recover(self, claim: Claim, notes: ClaimFolder) -> str | None:
        process = FlowRunProcess.found(notes)
        return None if process is None else str(process.pid)

    async def adopted(self, run: FlowRun, claim: Claim, notes: ClaimFolder, identifier: str) -> Taken:
        process = FlowRunProcess.found(notes)
        assert process is not None, "it was recovered"
        taken = Taken(run, claim, notes, begun=True)
        self._running[taken] = process
        return taken
