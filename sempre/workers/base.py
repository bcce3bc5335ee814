"""What a type of worker is: how the infrastructure of one flow run is started, watched, ended and found again.

Everything else - polling, claims, heartbeats, limits, cancelling, draining, adoption - is the worker's
(:mod:`sempre.workers.worker`) and the same for all types.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

from sempre.settings import ClientSettings
from sempre.workers.configuration import JobConfiguration

__all__ = ["Found", "Infrastructure", "InfrastructureError", "NotStartedNow"]


class InfrastructureError(Exception):
    """Infrastructure could not be started. The text is shown to the user, after `Failed to submit flow run to
    infrastructure: `."""


class NotStartedNow(Exception):
    """Nothing was started, for a reason that will pass and is not the run's: it is handed back, for whoever comes
    first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Infrastructure of a flow run that is there: whether it still runs or has ended, `watch` tells."""

    flow_run_id: UUID
    identifier: str


class Infrastructure(ABC):
    """A type of infrastructure. One object per worker; its methods run in the worker's loop and must not block it."""

    type: ClassVar[str]
    """The type of the work pools it serves."""

    command: ClassVar[tuple[str, ...]] = ("sempre", "flow-run", "execute")
    """What executes a run where neither pool, deployment nor run names a command. JobConfiguration.command is None
    then."""

    stays: ClassVar[bool] = True
    """Whether the infrastructure is better left alone when a worker is told to stop twice: it goes on by itself, and a
    worker of the same name finds it again. Where not, it is killed."""

    def __init__(self, *, worker_name: str, work_pool_name: str, settings: ClientSettings) -> None:
        self.worker_name = worker_name
        self.work_pool_name = work_pool_name
        self.settings = settings

    async def open(self) -> None:  # noqa: B027
        """Called once, before everything else. Raises InfrastructureError if this machine cannot serve the type; the
        worker does not start then."""

    async def close(self) -> None:  # noqa: B027
        """Called once, after everything else."""

    @abstractmethod
    async def start(self, job: JobConfiguration) -> str:
        """Start what executes the run, and return how to find it again: `infrastructure_pid` of the run, as the type's
        users know it (`host:pid`, `namespace:job`, `docker url:id`).

        Called at most once for a claim of a run. Raises InfrastructureError or NotStartedNow if nothing was started; if
        that is not known, it must find out, or clean up, first. May be cancelled, like any coroutine; what was made by
        then is found by `find`.
        """

    @abstractmethod
    async def watch(self, job: JobConfiguration, identifier: str) -> int | None:
        """Wait until the infrastructure has ended; its exit code, None if it is gone and nobody knows how it ended.

        Streams output if the job wants it. An infrastructure that cannot be asked just now (its API is away) has not
        ended. Cancelling it ends the watching alone.
        """

    @abstractmethod
    async def kill(self, job: JobConfiguration, identifier: str, grace: float) -> None:
        """Ask it to end, insist after `grace` seconds, return when it has ended. Nothing happens if it has already."""

    async def recover(self, flow_run_id: UUID, folder: Path, identifier: str | None) -> str | None:
        """How to watch what a dead worker of this name and machine started for a claim; None if nothing was started for
        it, and nothing will be any more. `folder` is that of its JobConfiguration, `identifier` what `start` returned,
        if it did. What `find` finds is adopted in any case."""
        return identifier

    async def find(self) -> list[Found]:
        """What workers of this name and pool started that is still there, or ended not long ago: asked once, at the
        start, to adopt it. By default none, then infrastructure cannot be adopted."""
        return []

    async def clean_up(self, found: Found) -> bool:
        """Tear down what another worker of the pool may have started, at the server's request: a cancellation was not
        carried out in time, or a claim was lost. False if this worker cannot reach it; another is asked then."""
        return False

    def explain(self, exit_code: int) -> str | None:
        """A sentence about what an exit code means on this infrastructure, for the message of a crash."""
        return None

    @classmethod
    def default_base_job_template(cls) -> Mapping[str, Any] | None:
        """The job template that new pools of the type get; None: the one that the server offers for the type."""
        return None
