"""Examples run with the stock SDK and with ours, against one server: they have to be the same to whoever looks.

What they return and raise, and what the server has of their flow runs and task runs: states in their order, run counts,
names, parameters, tags, dependencies, artifacts, logs and events.
"""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conformance.sdk.recorded import Recorded, anonymous
from tests.conformance.sdk.sides import examples, reports, sides
from tests.support.runs import checked
from tests.support.servers import Target
from tests.support.wait import eventually

# Each row is one process on either side.
GROUPS = (
    ("hello", "tasks", "subflows", "results", "hooks", "transactions"),
    # `alone` comes first: the stock SDK counts tasks without a flow to the first flow that the process ran.
    ("alone", "pauses", "endings", "retries", "limits", "leavings", "background"),
)
Reports = dict[str, dict[str, dict[str, Any]]]


def _failed_once(found: Any) -> None:
    """A pause that nobody ends fails its run. So does the server, which may be first: then the run fails twice."""
    for run in found["flow_runs"]:
        for name, twice in (("states", ["FAILED Failed"] * 2), ("events", ["prefect.flow-run.Failed"] * 2)):
            if "PAUSED Paused" in run["states"] and run[name][-2:] == twice:
                del run[name][-1]


# What depends on the moment. The stock SDK waits a poll interval longer than it says: the server is first then.
TIMED = {"pauses.refusals": _failed_once}


@pytest.fixture(scope="module")
def played(request: pytest.FixtureRequest, target: Target, api: httpx.Client, workdir: Path) -> Reports:
    """What the scripts printed: side -> example -> report. Only what the selected tests ask for is played."""
    items: list[Any] = list(request.session.items)
    wanted = {item.callspec.params["example"].partition(".")[0] for item in items if _is_ours(item)}
    groups = [chosen for group in GROUPS if (chosen := [module for module in group if module in wanted])]
    both = sides(workdir, target.api_url)
    for side in both:
        for name, limit, decay in (("two", 2, 0.0), ("rate", 1, 2.0)):
            body = {"name": f"{side.name}-{name}", "limit": limit, "slot_decay_per_second": decay}
            checked(api.post("/v2/concurrency_limits/", json=body))
        checked(api.post("/concurrency_limits/", json={"tag": f"{side.name}-tag", "concurrency_limit": 1}))
    servers = [side.start("task-worker", "background.py") for side in both if "background" in wanted]
    playing = {side.name: [side.play(*modules) for modules in groups] for side in both}
    try:
        for processes in playing.values():
            for process in processes:
                assert process.wait(300) == 0, process.tail(100)
    finally:
        for process in [*servers, *(process for processes in playing.values() for process in processes)]:
            process.terminate(5)
    return {name: reports("".join(process.output() for process in processes)) for name, processes in playing.items()}


def _is_ours(item: Any) -> bool:
    return item.path == Path(__file__) and hasattr(item, "callspec")


@pytest.mark.parametrize("example", [name for group in GROUPS for name in examples(*group)])
def test_same(played: Reports, api: httpx.Client, example: str) -> None:
    values = {side: anonymous(played[side][example], side) for side in ("stock", "ours")}
    assert "error" not in values["stock"], "the example itself is wrong"
    assert values["ours"] == values["stock"], _difference(values["stock"], values["ours"])
    recorded = Recorded(api)
    last: dict[str, Any] = {}

    def same() -> bool:  # events are recorded a moment after the run
        for side in ("stock", "ours"):
            last[side] = recorded.example(side, example)
            if example in TIMED:
                TIMED[example](last[side])
        return bool(last["stock"] == last["ours"])

    eventually(same, f"{example} left the same", 60, 0.5, lambda: _difference(last["stock"], last["ours"]))


def _difference(stock: Any, ours: Any) -> str:
    """The lines that differ, `-` for the stock SDK's, `+` for ours."""
    before, after = (json.dumps(found, indent=1, sort_keys=True).splitlines() for found in (stock, ours))
    return "\n".join(difflib.unified_diff(before, after, "stock", "ours", n=6, lineterm=""))
