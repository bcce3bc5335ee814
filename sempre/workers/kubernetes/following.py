"""A list that is kept up to date: listed once, then watched, and listed again when the cluster has forgotten where we
were. Breaks are outlasted; nothing that changed is missed, though steps in between may be."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from sempre.workers.kubernetes.cluster import Cluster
from sempre.workers.kubernetes.errors import ClusterAway, ClusterRefused

__all__ = ["Change", "follow"]

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
GONE = 410

log = logging.getLogger("sempre.workers.kubernetes")


@dataclass(frozen=True, slots=True)
class Change:
    """An object as it is now, or as it was last seen if it is `gone`."""

    thing: dict[str, Any]
    gone: bool = False


class _Expired(Exception):
    """The cluster does not know the version any more."""


async def follow(
    cluster: Cluster,
    kind: tuple[str, str],
    namespace: str | None,
    selector: str,
    *,
    listed: Callable[[], None] = lambda: None,
    pause: Callable[[float], float] = lambda seconds: seconds * random.uniform(0.75, 1.25),  # noqa: S311
) -> AsyncIterator[Change]:
    """Every object with these labels, then what changes, for ever. `listed` is called when all that is there was given.

    Raises ClusterRefused if the first list is forbidden: nobody gets that right by waiting.
    """
    known: dict[str, dict[str, Any]] = {}
    version = ""
    failures, begun = 0, False
    while True:
        try:
            if not version:
                found, version = await cluster.list(kind, namespace, selector)
                for difference in _compare(known, found):
                    yield difference
                begun = True
                listed()
                failures = 0
            quiet = True
            async with contextlib.aclosing(cluster.watch(kind, namespace, selector, version)) as events:
                async for event in events:
                    quiet, failures = False, 0
                    change, version = _understand(known, event)
                    if change is not None:
                        yield change
            if quiet:  # a cluster that ends watches at once must not be asked without end
                await asyncio.sleep(pause(PAUSES[0]))
        except _Expired:
            version = ""
        except (ClusterAway, ClusterRefused, ValueError, KeyError) as error:  # the last two: what came made no sense
            if isinstance(error, ClusterRefused):
                if error.status == GONE:
                    version = ""
                elif error.status == 403 and not begun:
                    raise
            log.log(logging.WARNING if failures == 3 else logging.DEBUG, "%s; trying on.", error)
            await asyncio.sleep(pause(PAUSES[min(failures, len(PAUSES) - 1)]))
            failures += 1


def _compare(known: dict[str, dict[str, Any]], found: list[dict[str, Any]]) -> list[Change]:
    """What is different from what was known, which becomes what was found."""
    there = {thing["metadata"]["uid"]: thing for thing in found}
    changes = [Change(thing, gone=True) for uid, thing in known.items() if uid not in there]
    for uid, thing in there.items():
        before = known.get(uid)
        if before is None or before["metadata"].get("resourceVersion") != thing["metadata"].get("resourceVersion"):
            changes.append(Change(thing))
    known.clear()
    known.update(there)
    return changes


def _understand(known: dict[str, dict[str, Any]], event: dict[str, Any]) -> tuple[Change | None, str]:
    """The change that an event of a watch tells of, if any, and the version after it."""
    kind, thing = event.get("type"), event.get("object") or {}
    if kind == "ERROR":
        if thing.get("code") == GONE:
            raise _Expired
        raise ClusterAway(f"The cluster ended a watch: {thing.get('message')}")
    version = str(thing["metadata"]["resourceVersion"])
    if kind == "BOOKMARK":
        return None, version
    if kind == "DELETED":
        known.pop(thing["metadata"]["uid"], None)
        return Change(thing, gone=True), version
    known[thing["metadata"]["uid"]] = thing
    return Change(thing), version
