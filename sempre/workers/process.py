"""Runs as processes beside the worker."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from pathlib import Path
from typing import ClassVar
from uuid import UUID

from sempre.sdk.serving.claim_folder import ClaimFolder, identity_of
from sempre.sdk.serving.flow_run_process import FlowRunProcess, LauncherLost, ProcessError, Processes, ProcessRequest
from sempre.settings import ClientSettings
from sempre.workers.base import Found, Infrastructure, InfrastructureError, NotStartedNow
from sempre.workers.configuration import JobConfiguration

__all__ = ["ProcessInfrastructure"]

_MEANINGS = {
    -signal.SIGKILL: "It was killed, as a system that is out of memory does to processes.",
    -signal.SIGTERM: "It was terminated.",
    127: "Its command was not found.",
    137: "It was killed, as a system that is out of memory does to processes.",
    143: "It was terminated.",
}


class ProcessInfrastructure(Infrastructure):
    """Processes on the worker's machine, identified by `host:pid`.

    They outlive a worker that dies, and are found by the next of its name. Without a command a run is executed by this
    release, in a copy of a process that is warm; a command (`prefect flow-run execute` in another environment, for one)
    is started as it is.
    """

    type = "process"
    command: ClassVar[tuple[str, ...]] = ()
    stays = False

    def __init__(self, *, worker_name: str, work_pool_name: str, settings: ClientSettings) -> None:
        super().__init__(worker_name=worker_name, work_pool_name=work_pool_name, settings=settings)
        self._host = socket.gethostname()
        self._known: dict[UUID, FlowRunProcess] = {}

    async def open(self) -> None:
        self._processes = Processes()
        await self._processes.warm_up()

    async def close(self) -> None:
        await self._processes.close()

    async def start(self, job: JobConfiguration) -> str:
        working_dir = self._working_dir(job)
        env = {name: value for name, value in os.environ.items() if not _is_removed(name, job)}
        request = ProcessRequest(
            flow_run_id=job.flow_run_id,
            folder=ClaimFolder(job.folder),
            env={**env, **job.env},
            working_dir=working_dir,
            command=job.command_words,
            stream_output=job.stream_output,
        )
        try:
            process = await self._processes.start(request)
        except LauncherLost as error:
            raise NotStartedNow(str(error)) from error
        except ProcessError as error:
            raise InfrastructureError(str(error)) from error
        self._known[job.flow_run_id] = process
        return f"{self._host}:{process.pid}"

    def _working_dir(self, job: JobConfiguration) -> Path:
        """The one that was asked for, else an empty one that goes with the claim."""
        given = job.values.get("working_dir")
        if given:
            return Path(str(given)).expanduser()
        fresh = job.folder / "work"
        fresh.mkdir(parents=True, exist_ok=True)
        return fresh

    async def watch(self, job: JobConfiguration, identifier: str) -> int | None:
        process = self._process(job)
        code = None if process is None else await process.wait()
        self._known.pop(job.flow_run_id, None)
        return code

    async def kill(self, job: JobConfiguration, identifier: str, grace: float) -> None:
        process = self._process(job)
        if process is not None:
            await process.kill(grace)

    def _process(self, job: JobConfiguration) -> FlowRunProcess | None:
        return self._known.get(job.flow_run_id) or FlowRunProcess.found(ClaimFolder(job.folder))

    async def recover(self, flow_run_id: UUID, folder: Path, identifier: str | None) -> str | None:
        process = FlowRunProcess.found(ClaimFolder(folder))
        if process is None:
            shutil.rmtree(folder / "work", ignore_errors=True)
            return None
        self._known[flow_run_id] = process
        return f"{self._host}:{process.pid}"

    async def clean_up(self, found: Found) -> bool:
        """What this worker started it looks after itself; others of this machine look after theirs."""
        host, _, pid = found.identifier.rpartition(":")
        if host != self._host or not pid.isdigit():
            return False
        return identity_of(int(pid)) is None

    def explain(self, exit_code: int) -> str | None:
        return _MEANINGS.get(exit_code)


def _is_removed(name: str, job: JobConfiguration) -> bool:
    """Whether the job's `env` takes a name of the worker's own environment away."""
    asked = job.values.get("env")
    return isinstance(asked, dict) and name in asked and asked[name] is None
