"""Where our API document differs from the protocol's on purpose.

``place`` is what a comparison calls it, with ``*`` for anything; ``ours`` is what our document has there instead, or
ANYTHING. An entry that matches nothing fails the test.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from tests.conformance.openapi.compare import Difference

__all__ = ["DELIBERATE", "Deliberate"]

ANYTHING = ...


@dataclass(frozen=True)
class Deliberate:
    place: str
    ours: Any
    reason: str

    def covers(self, difference: Difference) -> bool:
        return fnmatchcase(difference.place, self.place) and self.ours in (ANYTHING, difference.ours)


DELIBERATE = (
    # --- what is accepted ------------------------------------------------------------------------------
    Deliberate(
        "POST * body* null", ANYTHING,
        "null means the same as absence for every optional parameter of a body (spec/api 3); both documents name it "
        "for some of them only",
    ),
    Deliberate(
        "POST /events/filter body.limit maximum", 200,
        "more events per page than the protocol's 50: its own client asks for 100",
    ),
    Deliberate(
        "POST /ui/flow_runs/history body.limit minimum", 0,
        "a negative limit is refused (a defect of the protocol's server)",
    ),
    Deliberate(
        "POST /work_pools/{work_pool_name}/workers/heartbeat body.heartbeat_interval_seconds m*imum", ANYTHING,
        "an interval beyond reason would keep a lost worker online for ever",
    ),
    Deliberate(
        "PATCH /flow_runs/{id}/labels body{} options", ["boolean", "integer", "number", "string"],
        "labels are scalars wherever they are written (a list there breaks later reads of the protocol's server)",
    ),
    Deliberate(
        "Automation*.trigger options", ["CompoundTrigger", "EventTrigger", "MetricTrigger", "SequenceTrigger"],
        "metric triggers are known as well",
    ),
    Deliberate(
        "*Trigger*.triggers?? options", ["CompoundTrigger", "EventTrigger", "MetricTrigger", "SequenceTrigger"],
        "see above",
    ),
    Deliberate(
        "EventTrigger*.match* options", ANYTHING,
        "one name for the two spellings of a specification",
    ),
    Deliberate(
        "RRuleSchedule.timezone pattern", None,
        "zones are those of the machine's database, checked by a validator, not a list that ages",
    ),
    Deliberate(
        "*Create.id", "there",
        "log lines, artifacts and automations may bring an id, by which one that is sent again is known",
    ),
    # --- what is answered ------------------------------------------------------------------------------
    Deliberate(
        "HTTPValidationError.*", ANYTHING,
        "refusals as they are sent (spec/api 5); the protocol's document shows its framework's own",
    ),
    Deliberate(
        "POST */templates/validate 200", "absent",
        "answered 204 by the protocol's server too",
    ),
    Deliberate("POST */templates/validate 204", "there", "see above"),
    Deliberate(
        "GET /admin/settings 200*", ANYTHING,
        "our own settings; those of clients and workers are not the server's to show",
    ),
    Deliberate("Artifact required", ["created", "id", "updated"], "always sent"),
    Deliberate("State required", ["id", "timestamp", "type"], "always sent"),
    Deliberate("ReceivedEvent required", ["event", "id", "occurred", "received", "resource"], "always sent"),
)  # fmt: skip
