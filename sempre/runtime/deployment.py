"""The deployment of the flow run that the caller is a part of."""

from typing import Any

from sempre.sdk.engine.runtime_facts import deployment_name, executed_run

__all__ = ["flow_run_id", "id", "name", "parameters", "version"]

# For type checkers: the values come from `__getattr__`.
id: str | None
name: str | None
version: str | None
flow_run_id: str | None
parameters: dict[str, Any]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'sempre.runtime.deployment' has no attribute {name!r}")
    run = executed_run()
    if run is None or run.deployment_id is None:
        return {} if name == "parameters" else None
    if name == "name":
        return deployment_name(run.deployment_id)
    if name == "parameters":
        return dict(run.parameters)
    return {"id": str(run.deployment_id), "flow_run_id": str(run.id), "version": run.deployment_version}[name]
