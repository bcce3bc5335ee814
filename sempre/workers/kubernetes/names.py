"""Texts made to fit what Kubernetes allows as names and labels. The same text always gives the same name."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["fit_labels", "label_key", "label_value", "name_prefix", "object_name"]

MAX_LABEL = 63  # characters of a label's value, of the last part of its key, and of names that become values
MAX_PREFIX = 253  # characters of what stands before the slash of a key
MAX_NAME_PREFIX = 52  # leaves room for the suffixes of the job and of its pods

_NOT_IN_NAMES = re.compile(r"[^a-z0-9-]+")
_NOT_IN_LABELS = re.compile(r"[^A-Za-z0-9_.-]+")
_NOT_IN_DOMAINS = re.compile(r"[^a-z0-9.-]+")
_EDGES = "-_."


def object_name(text: str, longest: int = MAX_LABEL) -> str:
    """A name of an object (DNS-1123): small letters, digits and dashes. May be empty."""
    return _NOT_IN_NAMES.sub("-", text.lower())[:longest].strip("-")


def name_prefix(*candidates: str | None) -> str:
    """What the name of a job begins with, ending in a dash: the first candidate of which something is left."""
    for candidate in candidates:
        name = object_name(candidate or "", MAX_NAME_PREFIX)
        if name:
            return f"{name}-"
    return "flow-run-"


def label_value(text: str) -> str:
    """The value of a label. May be empty."""
    return _NOT_IN_LABELS.sub("-", text)[:MAX_LABEL].strip(_EDGES)


def label_key(text: str) -> str:
    """The key of a label, its prefix kept. Empty if nothing is left of its name."""
    prefix, slash, name = text.rpartition("/")
    name = _NOT_IN_LABELS.sub("-", name)[:MAX_LABEL].strip(_EDGES)
    prefix = _NOT_IN_DOMAINS.sub("-", prefix.lower())[:MAX_PREFIX].strip(_EDGES)
    return f"{prefix}{slash}{name}" if name and prefix else name


def fit_labels(labels: Mapping[str, object]) -> dict[str, str]:
    """Labels with keys and values that Kubernetes takes; those of whose keys nothing is left are left out."""
    fitted = {label_key(key): label_value(str(value)) for key, value in labels.items() if value is not None}
    fitted.pop("", None)
    return fitted
