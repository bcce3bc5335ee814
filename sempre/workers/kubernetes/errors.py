"""What can go wrong with a cluster."""

from __future__ import annotations

import json

from sempre.workers.base import InfrastructureError

__all__ = ["CONFLICT", "ClusterAway", "ClusterRefused", "ManifestError"]

CONFLICT = 409


class ManifestError(InfrastructureError):
    """The job template of the pool does not describe a job. The text says where."""


class ClusterAway(InfrastructureError):
    """The API of the cluster could not be reached, or not in time. Whether it did, or does still, what was asked is
    unknown if `may_be_done`."""

    worth_repeating = True

    def __init__(self, text: str, *, may_be_done: bool = True) -> None:
        self.may_be_done = may_be_done
        super().__init__(text)


class ClusterRefused(InfrastructureError):
    """The API of the cluster answered with an error: `status` is the HTTP status, `reason` its word for it."""

    def __init__(self, what: str, status: int, body: bytes | str) -> None:
        self.status = status
        try:
            answer = json.loads(body)
        except ValueError:
            answer = {}
        answer = answer if isinstance(answer, dict) else {}
        self.reason = str(answer.get("reason") or "")
        text = str(answer.get("message") or "") or str(self.reason or body)[:500]
        super().__init__(f"The cluster refused to {what} with {status}: {text}{_advice(status)}")

    @property
    def worth_repeating(self) -> bool:
        """Too many requests, or trouble of the API itself."""
        return self.status == 429 or self.status >= 500

    @property
    def may_be_done(self) -> bool:
        """It may have happened: the cluster had trouble while it did it, or it was there when a try was repeated."""
        return self.status >= 500 or self.status == CONFLICT

    @property
    def passes(self) -> bool:
        """It is not the request's fault, and will be otherwise at another time."""
        return self.worth_repeating or (self.status == 403 and "exceeded quota" in str(self))


def _advice(status: int) -> str:
    if status in (401, 403):
        return ". Give the worker's service account the role in docs/workers-kubernetes.md"
    return ""
