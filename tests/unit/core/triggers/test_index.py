"""The index finds exactly the triggers that a look at every one of them would."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from sempre.core.triggers.index import TriggerIndex
from sempre.core.triggers.model import Automation, Event, EventTrigger
from sempre.server.triggers.definitions import defined
from tests.support.trigger_plans import Document, steps, triggers

_AT = datetime(2026, 5, 4, tzinfo=UTC)
_HOME, _AWAY = UUID(int=1), UUID(int=2)


def _event(name: str, resource: str = "r.1", related: Any = (), **labels: str) -> Event:
    return Event(1, UUID(int=1), name, _AT, _AT, {"prefect.resource.id": resource, **labels}, related)


def _automation(number: int, *leaves: EventTrigger, workspace: UUID = _HOME) -> Automation:
    return Automation(UUID(int=number), workspace, leaves[0])


@settings(max_examples=300, deadline=None)
@given(st.lists(triggers(3), max_size=8), steps(10))
def test_candidates_are_those_of_a_look_at_every_trigger(plans: list[Document], plan: list[Document]) -> None:
    automations = []
    for number, trigger in enumerate(plans, 1):
        workspace = _HOME if number % 3 else _AWAY
        row: Any = {"id": UUID(int=number), "workspace_id": workspace, "updated": _AT, "trigger": _renamed(trigger)}
        automations.append(defined(row).automation)
    index = TriggerIndex(automations)
    for step in plan:
        if step["kind"] != "event":
            continue
        event = Event(step["number"], UUID(step["id"]), step["event"], _AT, _AT, step["resource"], step["related"])
        for workspace in (_HOME, _AWAY):
            wanted = [
                (automation.id, trigger.id)
                for automation in automations
                if automation.workspace_id == workspace
                for trigger in automation.event_triggers
                if trigger.concerns(event)
            ]
            found = [(one.automation.id, one.trigger.id) for one in index.concerned(workspace, event)]
            assert sorted(found) == sorted(wanted)
            for id in {automation for automation, _ in found}:
                in_order = [trigger for automation, trigger in found if automation == id]
                assert in_order == [trigger for automation, trigger in wanted if automation == id]
            named = any(
                trigger.expects(event.name) or trigger.opens_on(event.name)
                for automation in automations
                if automation.workspace_id == workspace
                for trigger in automation.event_triggers
            )
            assert index.wants(workspace, event.name) >= bool(wanted)
            assert index.wants(workspace, event.name) <= named or not wanted


_numbers = iter(range(10_000, 10_000_000))


def _renamed(trigger: Document) -> Document:
    """Ids of their own for the parts of every automation."""
    renamed = {**trigger, "id": str(UUID(int=next(_numbers)))}
    if "triggers" in trigger:
        renamed["triggers"] = [_renamed(child) for child in trigger["triggers"]]
    return renamed


def test_an_automation_does_not_react_to_what_is_told_of_it() -> None:
    everything = _automation(7, EventTrigger(UUID(int=70)))
    by_name = _automation(8, EventTrigger(UUID(int=80), expect=frozenset({"prefect.automation.triggered"})))
    index = TriggerIndex([everything, by_name])

    def reacting(event: Event) -> set[int]:
        return {candidate.automation.id.int for candidate in index.concerned(_HOME, event)}

    own, others = f"prefect.automation.{UUID(int=8)}", f"prefect.automation.{UUID(int=9)}"
    assert reacting(_event("prefect.automation.triggered", own)) == set()
    assert reacting(_event("prefect.automation.triggered", others)) == {8}
    assert reacting(_event("prefect.automation.action.executed", others)) == set()
    assert reacting(_event("prefect.automation.updated", own)) == {7}
    loaded = [{"prefect.resource.id": f"prefect.automation.{UUID(int=7)}", "prefect.resource.role": "automation"}]
    assert reacting(_event("prefect.block.webhook.loaded", "prefect.block-document.1", loaded)) == set()
    assert reacting(_event("prefect.block.webhook.loaded", "prefect.block-document.1")) == {7}


def test_nobody_wants_log_writes() -> None:
    index = TriggerIndex([_automation(7, EventTrigger(UUID(int=70)))])
    assert index.wants(_HOME, "anything")
    assert not index.wants(_HOME, "prefect.log.write")
    assert not index.wants(_AWAY, "anything")
