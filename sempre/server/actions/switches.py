"""Pausing and resuming work pools, work queues and automations."""

from uuid import UUID

from sempre.schemas.actions import (
    PauseAutomation,
    PauseWorkPool,
    PauseWorkQueue,
    ResumeAutomation,
    ResumeWorkPool,
    ResumeWorkQueue,
)
from sempre.schemas.automations import AutomationPartialUpdate
from sempre.schemas.work_pools import WorkPoolUpdate, WorkQueueUpdate
from sempre.server.actions.invocation import ActionFailed, Invocation
from sempre.server.actions.targets import target_of
from sempre.server.automations.routes import patch_automation
from sempre.server.errors import NotFound
from sempre.server.work_pools import queries
from sempre.server.work_pools.queue_changes import change_queue
from sempre.server.work_pools.routes import update_work_pool

__all__ = ["switch_automation", "switch_work_pool", "switch_work_queue"]


async def switch_work_pool(invocation: Invocation) -> None:
    action = invocation.action
    assert isinstance(action, PauseWorkPool | ResumeWorkPool)
    id = _target(invocation, "work-pool", action.work_pool_id)
    scope = invocation.scope
    name = await queries.name_of(scope.db, scope.workspace_id, id)
    if name is None:
        raise ActionFailed(f"Work pool {id} not found")
    await update_work_pool(scope, name, WorkPoolUpdate(is_paused=isinstance(action, PauseWorkPool)))


async def switch_work_queue(invocation: Invocation) -> None:
    action = invocation.action
    assert isinstance(action, PauseWorkQueue | ResumeWorkQueue)
    id = _target(invocation, "work-queue", action.work_queue_id)
    update = WorkQueueUpdate(is_paused=isinstance(action, PauseWorkQueue))
    if not await change_queue(invocation.scope, id, update, reorder=False):
        raise NotFound(f"Work Queue {id} not found")


async def switch_automation(invocation: Invocation) -> None:
    action = invocation.action
    assert isinstance(action, PauseAutomation | ResumeAutomation)
    id = _target(invocation, "automation", action.automation_id)
    update = AutomationPartialUpdate(enabled=isinstance(action, ResumeAutomation))
    await patch_automation(invocation.scope, id, update)


def _target(invocation: Invocation, kind: str, selected: UUID | None) -> UUID:
    id = target_of(invocation, kind, selected)
    invocation.touched("target", kind, id)
    return id
