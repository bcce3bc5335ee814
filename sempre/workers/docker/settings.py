"""Settings of the Docker worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from sempre.settings.fields import setting
from sempre.settings.layers import build, read_layers
from sempre.settings.listing import SettingInfo, walk
from sempre.workers.images import DEFAULT_IMAGE

__all__ = ["DockerSettings", "describe", "resolve"]


@dataclass(frozen=True, kw_only=True)
class DockerSettings:
    """What the Docker worker can be told beside what every worker can."""

    prefix: ClassVar[str] = "DOCKER_"
    compatible: ClassVar[tuple[str, ...]] = ("PREFECT_INTEGRATIONS_DOCKER_",)

    default_image: str = setting(DEFAULT_IMAGE, "Image of runs whose pool and deployment name none.")


def describe() -> tuple[SettingInfo, ...]:
    """Every setting."""
    return tuple(walk(DockerSettings))


def resolve(env: Mapping[str, str] | None = None, overrides: Mapping[str, Any] | None = None) -> DockerSettings:
    """Settings from overrides, environment (default: the process's), the active profile and defaults. Raises
    SettingsError naming every bad value at once."""
    reading = read_layers(describe(), env, overrides)
    reading.check()
    return build(DockerSettings(), reading.values)
