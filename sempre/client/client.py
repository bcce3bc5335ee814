"""The client: every call of the API as a method, for those who await and for those who wait."""

from __future__ import annotations

from types import TracebackType
from typing import Literal, Self, overload

from sempre.client.calls.admin import AdminCalls
from sempre.client.calls.artifacts import ArtifactCalls
from sempre.client.calls.automations import AutomationCalls
from sempre.client.calls.blocks import BlockCalls
from sempre.client.calls.concurrency import ConcurrencyCalls
from sempre.client.calls.deployments import DeploymentCalls
from sempre.client.calls.events import EventCalls
from sempre.client.calls.flow_runs import FlowRunCalls
from sempre.client.calls.flows import FlowCalls
from sempre.client.calls.logs import LogCalls
from sempre.client.calls.run_inputs import RunInputCalls
from sempre.client.calls.saved_searches import SavedSearchCalls
from sempre.client.calls.task_runs import TaskRunCalls
from sempre.client.calls.variables import VariableCalls
from sempre.client.calls.work_pools import WorkPoolCalls
from sempre.client.calls.work_queues import WorkQueueCalls
from sempre.client.connection import Connection
from sempre.client.sync_calls.admin import SyncAdminCalls
from sempre.client.sync_calls.artifacts import SyncArtifactCalls
from sempre.client.sync_calls.automations import SyncAutomationCalls
from sempre.client.sync_calls.blocks import SyncBlockCalls
from sempre.client.sync_calls.concurrency import SyncConcurrencyCalls
from sempre.client.sync_calls.deployments import SyncDeploymentCalls
from sempre.client.sync_calls.events import SyncEventCalls
from sempre.client.sync_calls.flow_runs import SyncFlowRunCalls
from sempre.client.sync_calls.flows import SyncFlowCalls
from sempre.client.sync_calls.logs import SyncLogCalls
from sempre.client.sync_calls.run_inputs import SyncRunInputCalls
from sempre.client.sync_calls.saved_searches import SyncSavedSearchCalls
from sempre.client.sync_calls.task_runs import SyncTaskRunCalls
from sempre.client.sync_calls.variables import SyncVariableCalls
from sempre.client.sync_calls.work_pools import SyncWorkPoolCalls
from sempre.client.sync_calls.work_queues import SyncWorkQueueCalls
from sempre.settings import ClientSettings

__all__ = ["Client", "SyncClient", "get_client"]


class Client(
    FlowCalls,
    FlowRunCalls,
    RunInputCalls,
    TaskRunCalls,
    DeploymentCalls,
    WorkPoolCalls,
    WorkQueueCalls,
    LogCalls,
    EventCalls,
    VariableCalls,
    ArtifactCalls,
    BlockCalls,
    ConcurrencyCalls,
    AutomationCalls,
    SavedSearchCalls,
    AdminCalls,
):
    """Calls to await, in any loop. Connections are shared by the whole process, so that making one costs nothing;
    `async with` is a habit, not a need."""

    @property
    def api_url(self) -> str | None:
        """Address of the API; None before the first call to a local server."""
        return self._connection.settings.api.url

    @property
    def settings(self) -> ClientSettings:
        """The settings in use."""
        return self._connection.settings

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class SyncClient(
    SyncFlowCalls,
    SyncFlowRunCalls,
    SyncRunInputCalls,
    SyncTaskRunCalls,
    SyncDeploymentCalls,
    SyncWorkPoolCalls,
    SyncWorkQueueCalls,
    SyncLogCalls,
    SyncEventCalls,
    SyncVariableCalls,
    SyncArtifactCalls,
    SyncBlockCalls,
    SyncConcurrencyCalls,
    SyncAutomationCalls,
    SyncSavedSearchCalls,
    SyncAdminCalls,
):
    """The same calls for those who wait: from any thread, also where a loop runs (which stands still meanwhile)."""

    @property
    def api_url(self) -> str | None:
        """Address of the API; None before the first call to a local server."""
        return self._connection.settings.api.url

    @property
    def settings(self) -> ClientSettings:
        """The settings in use."""
        return self._connection.settings

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


@overload
def get_client(
    *, sync_client: Literal[False] = False, settings: ClientSettings | None = None, patience: float | None = None
) -> Client: ...


@overload
def get_client(
    *, sync_client: Literal[True], settings: ClientSettings | None = None, patience: float | None = None
) -> SyncClient: ...


def get_client(
    *, sync_client: bool = False, settings: ClientSettings | None = None, patience: float | None = None
) -> Client | SyncClient:
    """A client of the API of `settings` (default: those in force), or of the local server if they name none.

    `patience` is how many seconds a call is repeated while the API is away (default: the settings'); with one given,
    a server under maintenance is not waited for any longer either.
    """
    connection = Connection(settings, patience=patience)
    return SyncClient(connection) if sync_client else Client(connection)
