"""Automations made with the client, and events that set them off: `automations.py URL_OF_A_RECEIVER`."""

# mypy: disable-error-code="misc, no-untyped-def, untyped-decorator, arg-type, call-arg"

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from prefect import get_client
from prefect.blocks.notifications import SlackWebhook
from prefect.blocks.webhook import Webhook
from prefect.client.schemas.objects import State, StateType
from prefect.events import Event, get_events_client, get_events_subscriber
from prefect.events.actions import (
    CallWebhook,
    CancelFlowRun,
    DoNothing,
    PauseAutomation,
    ResumeFlowRun,
    SendNotification,
    SuspendFlowRun,
)
from prefect.events.filters import EventFilter, EventNameFilter, EventOccurredFilter
from prefect.events.schemas.automations import (
    AutomationCore,
    CompoundTrigger,
    EventTrigger,
    Posture,
    SequenceTrigger,
)
from prefect.flows import flow
from report import say  # type: ignore[import-not-found, unused-ignore]

PATIENCE = 60  # seconds for what an automation is to do


def counting(name: str, threshold: int = 1, within: float = 0, posture: Posture = Posture.Reactive, **more) -> Any:
    return EventTrigger(posture=posture, expect={name}, threshold=threshold, within=timedelta(seconds=within), **more)


async def automate(name: str, trigger: Any, *actions: Any) -> Any:
    async with get_client() as client:
        core = AutomationCore(name=name, trigger=trigger, actions=list(actions) or [DoNothing()])
        return await client.create_automation(core)


async def emit(*names: str, related: list[dict[str, str]] | None = None, **payload: Any) -> list[Any]:
    events = [
        Event(event=name, resource={"prefect.resource.id": "assess.source"}, related=related or [], payload=payload)
        for name in names
    ]
    async with get_events_client() as client:
        for event in events:
            await client.emit(event)
    return [event.id for event in events]


def told(*names: str) -> Any:
    """A subscription to what the server tells from now on."""
    now = datetime.now(UTC)
    occurred = EventOccurredFilter(since=now - timedelta(seconds=5), until=now + timedelta(days=365))
    return get_events_subscriber(filter=EventFilter(event=EventNameFilter(name=list(names)), occurred=occurred))


async def awaited(subscriber: Any, id: Any, count: int = 1) -> list[Any]:
    found: list[Any] = []
    async with asyncio.timeout(PATIENCE):
        async for event in subscriber:
            if event.resource.id == f"prefect.automation.{id}":
                found.append(event)
                if len(found) == count:
                    break
    return found


async def fired(name: str, trigger: Any, *names: str) -> None:
    """An automation fires once these events are there."""
    began = asyncio.get_running_loop().time()
    async with told("prefect.automation.triggered") as subscriber:
        id = await automate(name, trigger)
        ids = await emit(*names)
        (event,) = await awaited(subscriber, id)
    cause = event.payload["triggering_event"]
    say(name, {
        "automation": id,
        "labels": event.payload["triggering_labels"],
        "cause": cause and cause["id"],
        "sent": ids,
        "posture": event.resource.get("prefect.posture"),
        "seconds": asyncio.get_running_loop().time() - began,
    })  # fmt: skip


async def assessments() -> None:
    each = {"prefect.resource.id"}
    await fired("reactive", counting("assess.reactive", 5, 60), *["assess.reactive"] * 5)
    await fired(
        "proactive", counting("assess.proactive", 5, 10, Posture.Proactive, for_each=each), *["assess.proactive"] * 2
    )
    children = [counting(f"assess.compound.{letter}") for letter in "ab"]
    compound = CompoundTrigger(require="all", within=timedelta(seconds=60), triggers=children)
    await fired("compound", compound, "assess.compound.b", "assess.compound.a")
    steps = [counting(f"assess.sequence.{letter}") for letter in "ab"]
    sequence = SequenceTrigger(within=timedelta(seconds=60), triggers=steps)
    await fired("sequence", sequence, "assess.sequence.a", "assess.sequence.b")


@flow(name="acted-upon")
def acted_upon() -> None:
    """Never run here."""


async def acted(name: str, *actions: Any, related: list[dict[str, str]] | None = None, **payload: Any) -> list[Any]:
    """What an automation's actions came to, as events tell."""
    async with told("prefect.automation.action.executed", "prefect.automation.action.failed") as subscriber:
        id = await automate(name, counting(f"assess.{name}"), *actions)
        await emit(f"assess.{name}", related=related, **payload)
        return await awaited(subscriber, id, len(actions))


async def runs() -> None:
    for name, action, state in (
        ("cancel", CancelFlowRun(), State(type=StateType.RUNNING)),
        ("suspend", SuspendFlowRun(), State(type=StateType.RUNNING)),
    ):
        async with get_client() as client:
            flow_id = await client.create_flow(acted_upon)
            deployment = await client.create_deployment(flow_id=flow_id, name="acted-upon")
            run = await client.create_flow_run_from_deployment(deployment, state=state)
        about = [{"prefect.resource.id": f"prefect.flow-run.{run.id}", "prefect.resource.role": "flow-run"}]
        (event,) = await acted(name, action, related=about)
        async with get_client() as client:
            after = await client.read_flow_run(run.id)
        say(name, {"event": event.event, "state": after.state.name, "message": after.state.message,
                   "payload": event.payload, "roles": [resource.role for resource in event.related]})  # fmt: skip
        if name == "suspend":
            (event,) = await acted("resume", ResumeFlowRun(), related=about)
            async with get_client() as client:
                after = await client.read_flow_run(run.id)
            say("resume", {"event": event.event, "state": after.state.name, "payload": event.payload})


async def other_automation() -> None:
    other = await automate("to-be-paused", counting(f"never.{uuid4()}"))
    (event,) = await acted("pause-automation", PauseAutomation(automation_id=other, source="selected"))
    async with get_client() as client:
        after = await client.read_automation(other)
    say("pause-automation", {"event": event.event, "enabled": after.enabled})


async def messages(url: str) -> None:
    slack = await SlackWebhook(url=f"{url}/slack").save("assess-slack", overwrite=True)
    webhook = await Webhook(method="PUT", url=f"{url}/webhook", headers={"X-Key": "k"}).save(
        "assess-webhook", overwrite=True
    )
    events = await acted(
        "messages",
        SendNotification(block_document_id=slack, subject="{{ automation.name }}", body="n is {{ event.payload.n }}"),
        CallWebhook(block_document_id=webhook, payload='{"n": {{ event.payload.n }}}'),
        n=7,
    )
    say("messages", {"events": [(event.event, event.payload) for event in events]})


async def main(url: str) -> None:
    await assessments()
    await runs()
    await other_automation()
    await messages(url)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
