"""Events of users' own, and those that deployments run upon."""

from typing import TYPE_CHECKING, Any

from sempre.sdk.events import emit_event

if TYPE_CHECKING:
    from sempre.sdk.deploying.triggers import DeploymentCompoundTrigger as DeploymentCompoundTrigger
    from sempre.sdk.deploying.triggers import DeploymentEventTrigger as DeploymentEventTrigger
    from sempre.sdk.deploying.triggers import DeploymentMetricTrigger as DeploymentMetricTrigger
    from sempre.sdk.deploying.triggers import DeploymentSequenceTrigger as DeploymentSequenceTrigger

__all__ = [
    "DeploymentCompoundTrigger",
    "DeploymentEventTrigger",
    "DeploymentMetricTrigger",
    "DeploymentSequenceTrigger",
    "emit_event",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'sempre.events' has no attribute {name!r}")
    from sempre.sdk.deploying import triggers  # brings pydantic, which flows that emit events do without

    return getattr(triggers, name)
