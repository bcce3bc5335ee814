"""Copies what a run's pods print to the worker's own output."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from dataclasses import dataclass
from typing import TextIO

from sempre.workers.kubernetes.cluster import Cluster
from sempre.workers.kubernetes.errors import ClusterAway, ClusterRefused
from sempre.workers.kubernetes.observer import Observer
from sempre.workers.kubernetes.pods import phase_of, started

__all__ = ["stream_logs"]

PAUSE_SECONDS = 1.0


@dataclass
class _Read:
    """How far the log of a pod was read: the time of its last line, as the cluster writes it without its zone."""

    until: str | None = None
    whole: bool = False


async def stream_logs(
    cluster: Cluster, observer: Observer, key: tuple[str, str], over: asyncio.Event, output: TextIO | None = None
) -> None:
    """Every line once, from all pods of a job one after the other, until it is `over` and all was read. Breaks are
    outlasted."""
    reads: dict[str, _Read] = {}
    while True:
        last = over.is_set()
        for pod in observer.known_pods(key):
            read = reads.setdefault(pod["metadata"]["name"], _Read())
            if not read.whole and started(pod):
                ended = phase_of(pod) in ("succeeded", "failed", "evicted")
                read.whole = await _copy(cluster, pod["metadata"], read, output or sys.stdout) and ended
        if last:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), PAUSE_SECONDS)


async def _copy(cluster: Cluster, pod: dict[str, str], read: _Read, output: TextIO) -> bool:
    """Follow a log to its end; whether it came to it."""
    since = read.until
    try:
        async for line in cluster.log(pod["namespace"], pod["name"], since=since and f"{since}Z", follow=True):
            stamp, _, text = line.partition(" ")
            time = stamp.rstrip("Z")  # zeros at its end are left out: only so the later one is the greater text
            if since is None or time > since:  # the cluster counts in whole seconds
                read.until = time
                output.write(f"{text}\n")
                output.flush()
    except (ClusterAway, ClusterRefused):
        return False
    return True
