"""All canaries, in the order in which they are shown."""

from __future__ import annotations

from collections.abc import Iterable

from sempre.canary import (
    abandoned_leases,
    background_tasks,
    clean_up,
    compound_automation,
    deployment_concurrency,
    event_stream,
    flow_results,
    flow_retries,
    hello,
    leases,
    pauses,
    proactive_automation,
    reactive_automation,
    schedules,
    secret_block,
    sequence_automation,
    subflow_retries,
    suspends,
    tag_limits,
    task_burst,
    task_results,
    task_retries,
    tasks,
    zombies,
)
from sempre.canary.canary import Canary

__all__ = ["CANARIES", "UnknownCanaryError", "chosen"]

_MODULES = (
    hello, tasks, task_burst, task_retries, flow_retries, subflow_retries, flow_results, task_results, background_tasks,
    pauses, suspends, deployment_concurrency, tag_limits, leases, abandoned_leases, secret_block, event_stream,
    reactive_automation, proactive_automation, compound_automation, sequence_automation, zombies, schedules, clean_up,
)  # fmt: skip
CANARIES: dict[str, Canary] = {module.CANARY.name: module.CANARY for module in _MODULES}


class UnknownCanaryError(Exception):
    """A name that no canary has. The message says which there are."""


def chosen(only: Iterable[str] = (), skip: Iterable[str] = (), *, quick: bool = False) -> list[Canary]:
    """The canaries to play: those named by `only`, or all; not those of `skip`; of a `quick` choice none that are slow,
    unless they are named. Raises UnknownCanaryError."""
    wanted, unwanted = list(only), set(skip)
    unknown = sorted({*wanted, *unwanted} - set(CANARIES))
    if unknown:
        raise UnknownCanaryError(f"There is no canary {', '.join(unknown)}. There are: {', '.join(CANARIES)}.")
    return [
        canary
        for canary in CANARIES.values()
        if canary.name not in unwanted and (canary.name in wanted if wanted else not (quick and canary.slow))
    ]
