"""`prefect events`: emit and stream."""

from __future__ import annotations

import json

from tests.support.prefect_env import PrefectClient
from tests.support.runs import Json, Runs
from tests.support.wait import eventually
from tests.support.warm_cli import WarmCli

RESOURCE = "cli.resource"


def stored(runs: Runs, name: str) -> list[Json]:
    criteria = {"filter": {"event": {"name": [name]}}, "limit": 50}
    found: list[Json] = runs.post("/events/filter", criteria)["events"]
    return found


def test_emit(cli: WarmCli, runs: Runs) -> None:
    related = [{"prefect.resource.id": "cli.related", "prefect.resource.role": "x"}]
    options = ("--payload", '{"a": 1}', "--related", json.dumps(related), "--resource", "colour=blue")
    cli("events", "emit", "cli.emitted", "--resource-id", RESOURCE, *options)
    (event,) = eventually(lambda: stored(runs, "cli.emitted"), "the event is stored")
    assert (event["payload"], event["related"]) == ({"a": 1}, related)
    assert event["resource"] == {"prefect.resource.id": RESOURCE, "colour": "blue"}
    cli.fails("events", "emit", "cli.nothing")
    assert stored(runs, "cli.nothing") == []


def test_stream(cli: WarmCli, prefect: PrefectClient, runs: Runs) -> None:
    stream = prefect.start_cli("events", "stream")
    try:

        def arrived() -> bool:
            # Events from before it subscribed may be missed, so they go on until one comes.
            cli("events", "emit", "cli.streamed", "--resource-id", RESOURCE)
            return "cli.streamed" in stream.output()

        eventually(arrived, "the stream shows an event", timeout=60, interval=0.5)
    finally:
        stream.terminate(5)
    events = [json.loads(line) for line in stream.output().splitlines() if line.startswith("{")]
    streamed = {event["id"] for event in events if event["event"] == "cli.streamed"}

    def all_stored() -> bool:
        return streamed <= {event["id"] for event in stored(runs, "cli.streamed")}

    eventually(all_stored, "what was streamed is stored")
