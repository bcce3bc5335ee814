"""The process of one flow run: started, watched, ended, and found again by whoever comes after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

__all__ = ["FlowRunProcess", "ProcessError", "ProcessRequest", "Processes"]


class ProcessError(Exception):
    """A process could not be started; none runs. The text says why."""


@dataclass(frozen=True, kw_only=True)
class ProcessRequest:
    """What to start. `env` is the whole environment; without a `command` the run is executed by this release."""

    flow_run_id: UUID
    env: Mapping[str, str]
    working_dir: Path
    command: Sequence[str] | None = None
    stream_output: bool = True


class FlowRunProcess:
    """A process that executes, or executed, a flow run."""

    flow_run_id: UUID
    pid: int

    async def wait(self) -> int | None:
        """Its exit code (negative: the signal that ended it) once it has ended; None if nobody knows."""

    async def kill(self, grace: float) -> None:
        """SIGTERM to its group, SIGKILL after `grace` seconds; returns when it has ended."""


class Processes:
    """Starts processes of flow runs from a warm parent. `folder` keeps a note of each, so that whoever opens the folder
    after this process died finds them."""

    def __init__(self, folder: Path) -> None: ...

    async def start(self, request: ProcessRequest) -> FlowRunProcess:
        """Raises ProcessError."""

    async def close(self) -> None:
        """Processes go on."""
