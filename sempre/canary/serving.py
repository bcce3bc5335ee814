"""Canaries as scheduled deployments, served as anybody's are, and the automations that tell of their failures."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sempre.canary.canary import Canary
from sempre.canary.scheduled import canary as scheduled_flow
from sempre.canary.stage import TAG
from sempre.client import ObjectNotFound, get_client
from sempre.sdk.deploying.entrypoints import EntrypointType
from sempre.sdk.deploying.runner_deployment import RunnerDeployment
from sempre.sdk.deploying.schedules import Interval
from sempre.sdk.deploying.serving import serve

__all__ = ["UnknownBlockError", "alerts", "deployments", "keep_alerts", "play_by_schedule"]

_ZERO = datetime(2026, 1, 1, tzinfo=UTC)  # that intervals count from: the same for every copy, after every start
_MISSES = 3  # intervals without a pass until somebody is told
_SHORTEST = 10.0  # seconds that the protocol allows for what does not happen


class UnknownBlockError(Exception):
    """There is no such block. The message says what was looked for."""


def deployments(canaries: Sequence[Canary], every: float, seconds: float | None = None) -> list[RunnerDeployment]:
    """One for each canary, begun `every` so many seconds; they are spread evenly over that time."""
    return [
        RunnerDeployment.from_flow(
            scheduled_flow,
            each.name,
            schedule=Interval(every, _ZERO + timedelta(seconds=every * number / len(canaries)), "UTC"),
            parameters={"name": each.name, "seconds": seconds},
            description=f"It is healthy if {each.about}.",
            tags=[TAG],
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        for number, each in enumerate(canaries)
    ]


def play_by_schedule(canaries: Sequence[Canary], *, every: float, limit: int, seconds: float | None = None) -> None:
    """Execute what is due, `limit` at a time, until SIGTERM or SIGINT. Any number of processes may do so for one
    installation: a run is claimed by one of them. Raises ClientError if the deployments cannot be made."""
    serve(*deployments(canaries, every, seconds), limit=limit, print_starting_message=False)


def alerts(block_document_id: str, every: float) -> list[dict[str, Any]]:
    """Automations that send a notification by this block: when a canary failed twice, and when it has not passed for
    three intervals, for whatever reason."""
    within = max(_SHORTEST, _MISSES * every)
    about_each = {
        "type": "event",
        "match": {"prefect.resource.id": "sempre.canary.*"},
        "for_each": ["prefect.resource.id"],
        "within": within,
    }
    failed = {"posture": "Reactive", "expect": ["sempre.canary.failed"], "threshold": 2}
    passed = {"posture": "Proactive", "after": ["sempre.canary.passed"], "expect": ["sempre.canary.passed"]}
    return [
        _alert(
            "a canary failed",
            {**about_each, **failed},
            block_document_id,
            "Canary {{ event.resource.name }} failed",
            "{{ event.payload.message }}",
        ),
        _alert(
            "a canary has not passed",
            {**about_each, **passed, "threshold": 1},
            block_document_id,
            f"A canary has not passed for {within / 60:g} minutes",
            "{{ event.resource.name }}",
        ),
    ]


def _alert(name: str, trigger: dict[str, Any], block: str, subject: str, body: str) -> dict[str, Any]:
    notification = {"type": "send-notification", "block_document_id": block, "subject": subject, "body": body}
    return {"name": name, "tags": [TAG], "trigger": trigger, "actions": [notification]}


def keep_alerts(block: str, every: float) -> None:
    """Make those automations, or bring the ones of their names up to date. `block` is `TYPE/NAME`, such as
    `slack-webhook/on-call`. Raises UnknownBlockError, and ClientError if the API refuses."""
    client = get_client(sync_client=True)
    slug, _, name = block.partition("/")
    try:
        document = client.read_block_document_by_name(name, slug, include_secrets=False)
    except ObjectNotFound:
        raise UnknownBlockError(
            f"There is no block {block}. Name one as TYPE/NAME, such as slack-webhook/on-call; "
            "`sempre block ls` lists them."
        ) from None
    for wanted in alerts(str(document.id), every):
        known = client.read_automations_by_name(wanted["name"])
        if known:
            client.update_automation(known[0].id, wanted)
        else:
            client.create_automation(wanted)
