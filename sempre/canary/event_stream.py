"""An event goes in over one websocket and comes out of another."""

from __future__ import annotations

from uuid import uuid4

from sempre.canary.canary import Canary
from sempre.canary.stage import Stage
from sempre.client.streams import EventStream
from sempre.sdk.events import emit_event

__all__ = ["CANARY"]


def check(stage: Stage) -> None:
    id, resource = uuid4(), f"sempre.{stage.name}"
    criteria = {"resource": {"id": [resource]}}
    stage.waits_for = "the event that was sent is heard"
    with EventStream(criteria) as stream:
        emit_event("canary.heard", {"prefect.resource.id": resource}, id=id)
        heard = stream.next(max(1.0, stage.left - 5))
    if heard is not None:
        stage.equal(heard.id, id, "the event that was heard")
        return
    kept = stage.client.read_events({"id": {"id": [str(id)]}}).events
    stage.expect(kept, "the event that was sent never arrived at the server: publishing is broken")
    stage.fail("the event that was sent is kept, but no subscriber was told of it: the stream is broken")


CANARY = Canary("event-stream", "an event that is sent is heard by a subscriber", check)
