"""From an event to an action that was carried out, with the events that tell of it."""

from __future__ import annotations

from sempre.server.actions.runner import Runner
from sempre.server.ids import new_id
from sempre.server.scope import Scope
from tests.integration.triggers.engine import Engine, automate, firings, send
from tests.support.events import an_event

_ANY = {"type": "event", "posture": "Reactive", "expect": ["it.happened"], "threshold": 1, "within": 0}


async def test_an_action_is_carried_out_once_and_told_of(scope: Scope) -> None:
    engine = Engine(scope)
    await engine.drain()
    id = await automate(scope, _ANY, {"type": "do-nothing"})
    cause = an_event()
    await send(scope, cause)
    await engine.drain()
    assert await Runner(scope, new_id()).run_due() == 1
    assert await Runner(scope, new_id()).run_due() == 0
    rows = await scope.db.fetch(
        """
        SELECT id, event, resource, related, payload, follows FROM event
        WHERE event LIKE 'prefect.automation.%' ORDER BY seq
        """
    )
    told, triggered, executed = rows
    assert told["event"] == "prefect.automation.triggered"
    assert triggered["event"] == "prefect.automation.action.triggered"
    assert str(triggered["follows"]) == cause["id"]
    assert executed["event"] == "prefect.automation.action.executed"
    assert executed["follows"] == triggered["id"]
    assert executed["resource"] == {
        "prefect.resource.id": f"prefect.automation.{id}",
        "prefect.resource.name": "an automation",
        "prefect.trigger-type": "event",
        "prefect.posture": "Reactive",
    }
    assert [resource["prefect.resource.id"] for resource in executed["related"]] == [
        f"prefect.event.{told['id']}",
        f"prefect.event.{cause['id']}",
    ]
    assert executed["payload"]["action_type"] == "do-nothing"


async def test_events_count_from_the_first_automation_on(scope: Scope) -> None:
    """Though nobody has begun to evaluate any when they are sent."""
    await send(scope, an_event())
    id = await automate(scope, _ANY, {"type": "do-nothing"})
    cause = an_event()
    await send(scope, cause)
    await Engine(scope).drain()
    assert [firing["triggering_event"]["id"] for firing in await firings(scope, id)] == [cause["id"]]
