"""Automations that come with the server, and are made when the settings say whom to notify.

A preset becomes an ordinary automation, once: from then on it belongs to its users, who may change it, switch it off
or delete it. Only a change of the settings themselves is applied to it again. What was applied last stands in a row of
each preset, which is also what keeps replicas from doing the same twice.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sempre.db.pool import Executor
from sempre.schemas.actions import Action, CallWebhook, SendNotification
from sempre.schemas.automations import AutomationCreate
from sempre.schemas.triggers import EventTrigger
from sempre.server.automations import queries
from sempre.server.automations.events import automation_event
from sempre.server.events.emit import emit
from sempre.server.responses import dumps
from sempre.server.scope import Scope
from sempre.server.settings.services import PresetsSettings
from sempre.server.triggers.counters import forget
from sempre.server.triggers.definitions import ids_below

__all__ = ["PRESETS", "apply_presets"]

log = logging.getLogger("sempre.services")

_TAG = "preset"
_RUNS = {"prefect.resource.id": "prefect.flow-run.*"}
_ABOUT = """\
Flow: {{ flow.name }}
{% if deployment %}Deployment: {{ deployment.name }}
{% endif %}State: {{ event.resource["prefect.state-name"] }}
Message: {{ event.resource["prefect.state-message"] or "none" }}
Look: {{ flow_run | ui_url }}"""
_PAYLOAD = """\
{
  "flow_run_id": {{ flow_run.id | tojson }},
  "flow_run": {{ flow_run.name | tojson }},
  "flow": {{ flow.name | tojson }},
  "state": {{ event.resource["prefect.state-name"] | tojson }},
  "message": {{ event.resource["prefect.state-message"] | tojson }},
  "url": {{ flow_run | ui_url | tojson }}
}"""


@dataclass(frozen=True, slots=True)
class _Preset:
    title: str
    description: str
    subject: str
    trigger: Callable[[PresetsSettings], EventTrigger]


def _crashed(settings: PresetsSettings) -> EventTrigger:
    return EventTrigger(
        posture="Reactive",
        match=_RUNS,
        expect={"prefect.flow-run.Crashed"},
        for_each={"prefect.resource.id"},
    )


def _stuck(settings: PresetsSettings) -> EventTrigger:
    return EventTrigger(
        posture="Proactive",
        match=_RUNS,
        after={"prefect.flow-run.Pending", "prefect.flow-run.Late"},
        expect={"prefect.flow-run.*"},
        for_each={"prefect.resource.id"},
        within=timedelta(seconds=settings.stuck_after_seconds),
    )


PRESETS = {
    "crashed-runs": _Preset(
        "Crashed and zombie runs",
        "A flow run crashed, or its process is gone and its heartbeats stopped.",
        "Flow run {{ flow_run.name }} crashed",
        _crashed,
    ),
    "stuck-runs": _Preset(
        "Runs stuck in Pending or Late",
        "A flow run became Pending or Late, and nothing happened to it since.",
        "Flow run {{ flow_run.name }} is stuck in {{ event.resource['prefect.state-name'] }}",
        _stuck,
    ),
}

# Gives a row to whoever is first to apply this setting, and to nobody else.
_CLAIM = """
INSERT INTO automation_preset AS p (workspace_id, name, automation_id, setting) VALUES ($1, $2, $3, $4)
ON CONFLICT (workspace_id, name) DO UPDATE SET setting = excluded.setting WHERE p.setting <> excluded.setting
RETURNING automation_id
"""

_RELEASE = """
UPDATE automation_preset SET setting = '' WHERE workspace_id = $1 AND name = $2 AND setting <> ''
RETURNING automation_id
"""

_BLOCK = """
SELECT d.id FROM block_document d JOIN block_type t ON t.id = d.block_type_id
WHERE d.workspace_id = $1 AND t.slug = $2 AND d.name = $3
"""


async def apply_presets(scope: Scope) -> bool:
    """Bring the automations of the presets to what the settings say, where those changed. ``False``: there is no such
    block to notify, so far."""
    settings = scope.settings.services.presets
    wanted = settings.automations if settings.notify else ()
    for unknown in sorted(set(wanted) - set(PRESETS)):
        log.warning("there is no preset %s, only %s", unknown, ", ".join(sorted(PRESETS)))
    slug, _, name = (settings.notify or "").partition("/")
    block_id: UUID | None = await scope.db.fetchval(_BLOCK, scope.workspace_id, slug, name) if settings.notify else None
    if settings.notify and block_id is None:
        return False
    for preset in sorted(PRESETS):
        async with scope.db.transaction() as transaction:
            if block_id is not None and preset in wanted:
                changed = await _switch_on(transaction, scope, preset, slug, block_id)
            else:
                changed = await _switch_off(transaction, scope, preset)
        if changed:
            scope.doorbell.ring("events", "automations")
    return True


async def _switch_on(tx: Executor, scope: Scope, name: str, slug: str, block_id: UUID) -> bool:
    settings, workspace_id = scope.settings.services.presets, scope.workspace_id
    within = PRESETS[name].trigger(settings).within
    setting = dumps({"block": block_id, "within": within.total_seconds()}).decode()
    automation_id = await tx.fetchval(_CLAIM, workspace_id, name, UUID(int=0), setting)
    if automation_id is None:
        return False
    values = _values(PRESETS[name], settings, slug, block_id)
    before = await queries.find(tx, workspace_id, automation_id)
    if before is not None:
        changes = {field: values[field] for field in ("trigger", "actions", "enabled")}
        written = await queries.update(tx, workspace_id, automation_id, changes)
        await forget(tx, automation_id, ids_below(before["trigger"]))
        change = "updated"
    else:
        written = await queries.create(tx, workspace_id, values)
        assert written is not None  # its id is a new one
        await tx.execute(
            "UPDATE automation_preset SET automation_id = $3 WHERE workspace_id = $1 AND name = $2",
            workspace_id,
            name,
            written["id"],
        )
        change = "created"
    if written is not None:
        await emit(tx, workspace_id, automation_event(change, written))
    return True


async def _switch_off(tx: Executor, scope: Scope, name: str) -> bool:
    automation_id = await tx.fetchval(_RELEASE, scope.workspace_id, name)
    if automation_id is None:
        return False
    written = await queries.update(tx, scope.workspace_id, automation_id, {"enabled": False})
    if written is not None:
        await emit(tx, scope.workspace_id, automation_event("updated", written))
    return True


def _values(preset: _Preset, settings: PresetsSettings, slug: str, block_id: UUID) -> dict[str, Any]:
    """The columns of the automation. A plain webhook is called with the message as JSON."""
    action: Action
    if slug == "webhook":
        action = CallWebhook(block_document_id=block_id, payload=_PAYLOAD)
    else:
        action = SendNotification(block_document_id=block_id, subject=preset.subject, body=_ABOUT)
    automation = AutomationCreate(
        name=preset.title,
        description=preset.description,
        tags=[_TAG],
        trigger=preset.trigger(settings),
        actions=[action],
    )
    encoded = automation.model_dump(mode="json")
    return {name: encoded[name] for name in queries.FIELDS}
