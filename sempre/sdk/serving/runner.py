"""The runner: executes runs of served deployments, each in a process of its own, in the directory it was started in."""

from __future__ import annotations

from uuid import UUID

from sempre.settings import ClientSettings

__all__ = ["Runner"]


class Runner:
    """Executes runs of the deployments that were added, until it is stopped.

    `limit` is how many at once (None: without a limit; default: the setting), `query_seconds` how often it looks for
    work that nobody told it of. `pause_on_shutdown` pauses the deployments when it ends. `webserver` answers health
    checks (`GET /health`) at the settings' host and port. `run_once`: one look, and the runs it found.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        limit: int | None = -1,
        pause_on_shutdown: bool = True,
        query_seconds: float | None = None,
        webserver: bool | None = None,
        settings: ClientSettings | None = None,
    ) -> None: ...

    def add_deployment(self, deployment_id: UUID) -> None:
        """Execute runs of this deployment, too. Before or after the start, from any thread."""
        ...

    async def start(self, *, run_once: bool = False) -> None:
        """Serve until `stop` is called or SIGTERM or SIGINT comes: the first lets runs finish, the second kills them.

        Signals are heeded only in the main thread.
        """
        ...

    def stop(self) -> None:
        """Take no more runs; `start` returns when those that run have ended. From any thread."""
        ...

    async def execute_flow_run(self, flow_run_id: UUID) -> int | None:
        """Execute one run now in a process, whoever claimed it, and wait for its end: its exit code."""
        ...
