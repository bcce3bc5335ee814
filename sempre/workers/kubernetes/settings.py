"""Settings of the Kubernetes worker."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sempre.settings.fields import setting
from sempre.settings.layers import build, read_layers
from sempre.settings.listing import SettingInfo, walk
from sempre.workers.images import DEFAULT_IMAGE

__all__ = ["KubernetesSettings", "KubernetesWorkerSettings", "ObserverSettings", "describe", "resolve"]


def parse_label_filters(text: str) -> str:
    """A label selector: `team=data,tier!=test`, or a JSON object of labels."""
    stripped = text.strip()
    if not stripped.startswith("{"):
        return stripped
    try:
        labels = json.loads(stripped)
    except ValueError:
        raise ValueError("is neither a label selector such as team=data nor a JSON object") from None
    return ",".join(f"{key}={value}" for key, value in labels.items())


@dataclass(frozen=True, kw_only=True)
class KubernetesWorkerSettings:
    """How jobs are made."""

    prefix: ClassVar[str] = "KUBERNETES_WORKER_"
    compatible: ClassVar[tuple[str, ...]] = ("PREFECT_INTEGRATIONS_KUBERNETES_WORKER_",)

    default_image: str = setting(DEFAULT_IMAGE, "Image of runs whose pool and deployment name none.")
    api_key_secret_name: str | None = setting(
        None, "Secret, in the namespace of the job, that has the API key. Unset: the key stands in the job."
    )
    api_key_secret_key: str = setting("value", "Its entry with the key.")
    create_secret_for_api_key: bool = setting(False, "The worker makes such a secret itself and keeps it up to date.")
    api_auth_string_secret_name: str | None = setting(
        None, "Secret, in the namespace of the job, that has `user:password`. Unset: it stands in the job."
    )
    api_auth_string_secret_key: str = setting("value", "Its entry with it.")
    create_secret_for_api_auth_string: bool = setting(
        False, "The worker makes such a secret itself and keeps it up to date."
    )
    create_job_max_attempts: int = setting(3, "How often the creation of a job is tried.", minimum=1)
    create_job_pause_seconds: float = setting(1.0, "Pause between tries.", minimum=0)
    create_job_jitter_seconds: float = setting(3.0, "Most that a pause is longer, at random.", minimum=0)


@dataclass(frozen=True, kw_only=True)
class ObserverSettings:
    """What is told about pods and jobs."""

    prefix: ClassVar[str] = "KUBERNETES_OBSERVER_"
    compatible: ClassVar[tuple[str, ...]] = ("PREFECT_INTEGRATIONS_KUBERNETES_OBSERVER_",)

    enabled: bool = setting(
        True, "Watch pods and jobs of flow runs: their events, and crashes nobody else can tell of."
    )
    replicate_pod_events: bool = setting(True, "Tell of the phases of pods by events.")
    namespaces: tuple[str, ...] = setting((), "Comma list of namespaces to watch. Empty: all, for which a cluster role "
                                          "is needed.")  # fmt: skip
    additional_label_filters: str = setting(
        "", "Label selector that narrows down what is watched, or a JSON object of labels.", parse=parse_label_filters
    )
    startup_event_concurrency: int = setting(
        5, "Accepted for existing manifests; events have ids that make asking for known ones needless.", minimum=1
    )
    forward_crashed_run_logs: bool = setting(True, "Show the last lines of pods whose run crashed before it began.")
    forward_crashed_run_logs_tail_lines: int = setting(500, "How many lines.", minimum=1)
    other_job_wait_seconds: float = setting(
        30.0, "How long another job of the run is waited for before it is taken for crashed.", minimum=0
    )


@dataclass(frozen=True, kw_only=True)
class KubernetesSettings:
    """Everything the Kubernetes worker can be told beside what every worker can."""

    prefix: ClassVar[str] = "KUBERNETES_"
    compatible: ClassVar[tuple[str, ...]] = ("PREFECT_INTEGRATIONS_KUBERNETES_",)

    worker: KubernetesWorkerSettings = field(default_factory=KubernetesWorkerSettings)
    observer: ObserverSettings = field(default_factory=ObserverSettings)


def describe() -> tuple[SettingInfo, ...]:
    """Every setting, in the order of the tree."""
    return tuple(walk(KubernetesSettings))


def resolve(env: Mapping[str, str] | None = None, overrides: Mapping[str, Any] | None = None) -> KubernetesSettings:
    """Settings from overrides, environment (default: the process's), the active profile and defaults. Raises
    SettingsError naming every bad value at once."""
    reading = read_layers(describe(), env, overrides)
    reading.check()
    return build(KubernetesSettings(), reading.values)
