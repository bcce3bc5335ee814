"""What is wrong with a pod, in words of somebody who has to repair it. Pure: from the pod as the cluster shows it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Diagnosis", "diagnose", "is_evicted"]

Pod = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """`kind` is a fixed word; `what` says what happened, `advice` what can be done. `hopeless`: it does not pass by
    itself."""

    kind: str
    what: str
    advice: str
    hopeless: bool = False

    def __str__(self) -> str:
        return f"{self.kind}: {self.what} {self.advice}"


_IMAGE_REASONS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
)
_UNSCHEDULABLE = (
    (
        "Unschedulable.InsufficientResources",
        re.compile(r"insufficient|too many pods", re.IGNORECASE),
        "Lower what the run requests (cpu_request, memory_request), or add nodes.",
    ),
    (
        "Unschedulable.Taint",
        re.compile(r"taint", re.IGNORECASE),
        "Give the pod a toleration in the job template, or take the taint off a node.",
    ),
    (
        "Unschedulable.NodeAffinity",
        re.compile(r"affinity|node selector|nodeselector", re.IGNORECASE),
        "Make the node selector or affinity of the job template match the labels of a node.",
    ),
)


def is_evicted(pod: Pod) -> bool:
    """The node pushed it out, or it was disrupted by its owner."""
    return _eviction(pod) is not None


def diagnose(pod: Pod) -> Diagnosis | None:
    """What keeps a pod from running, or made it fail; None if nothing is known to be wrong."""
    evicted = _eviction(pod)
    if evicted is not None:
        return Diagnosis(
            kind="Evicted",
            what=f"The pod was evicted: {evicted}",
            advice="Request what the run needs (memory_request), or keep it off nodes that are being drained.",
            hopeless=True,
        )
    for container in _containers(pod):
        found = _container_trouble(container)
        if found is not None:
            return found
    return _unschedulable(pod)


def _eviction(pod: Pod) -> str | None:
    status = pod.get("status") or {}
    if status.get("reason") == "Evicted":
        return str(status.get("message") or "its node ran short of something.")
    for condition in status.get("conditions") or ():
        if condition.get("type") == "DisruptionTarget" and condition.get("status") == "True":
            return str(condition.get("message") or condition.get("reason") or "it was disrupted.")
    return None


def _containers(pod: Pod) -> Iterator[Mapping[str, Any]]:
    status = pod.get("status") or {}
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()


def _container_trouble(container: Mapping[str, Any]) -> Diagnosis | None:
    state, name = container.get("state") or {}, container.get("name", "")
    waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
    last = (container.get("lastState") or {}).get("terminated") or {}
    reason, message = waiting.get("reason", ""), str(waiting.get("message") or "").strip()
    if "OOMKilled" in (ended.get("reason"), last.get("reason")):
        return Diagnosis(
            kind="OOMKilled",
            what=f"Container {name!r} was killed because it used more memory than it may.",
            advice="Raise memory_limit, or let the run hold less at once.",
            hopeless=bool(ended),
        )
    if reason in _IMAGE_REASONS:
        return Diagnosis(
            kind="ImagePullError",
            what=f"The image {container.get('image', '')!r} cannot be pulled: {message or reason}.",
            advice="Check its name and tag, and that the service account has a pull secret for its registry.",
        )
    if reason == "CrashLoopBackOff":
        code = last.get("exitCode")
        return Diagnosis(
            kind="CrashLoopBackOff",
            what=f"Container {name!r} ends again and again{'' if code is None else f', last with code {code}'}.",
            advice="Look at its logs; often the command or a module is missing in the image.",
        )
    return None


def _unschedulable(pod: Pod) -> Diagnosis | None:
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition.get("type") != "PodScheduled" or condition.get("status") != "False":
            continue
        if condition.get("reason") != "Unschedulable":
            continue
        message = str(condition.get("message") or "no node takes it")
        kind, advice = "Unschedulable", "Look at the events of the pod, and at the state of the nodes."
        for name, pattern, what_to_do in _UNSCHEDULABLE:
            if pattern.search(message):
                kind, advice = name, what_to_do
                break
        return Diagnosis(kind=kind, what=f"No node takes the pod: {message}", advice=advice)
    return None
