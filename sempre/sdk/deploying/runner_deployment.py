"""A deployment before the server knows it: what `flow.to_deployment(...)` gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sempre.sdk.deploying.entrypoints import EntrypointType, entrypoint_of
from sempre.sdk.deploying.faces import awaitable, either
from sempre.sdk.deploying.options import NO_SLA
from sempre.sdk.deploying.schedules import Schedule, schedules_of
from sempre.sdk.deploying.storages import CodeStorage
from sempre.sdk.deploying.triggers import DeploymentTrigger, triggers_of
from sempre.sdk.errors import ConfigurationError, ParameterTypeError
from sempre.sdk.flows import Flow

__all__ = ["RunnerDeployment"]


@dataclass
class RunnerDeployment:
    """A flow with a name, schedules, triggers and parameters. :meth:`apply` makes it known to the server.

    ``entrypoint`` is found in ``storage``, in the image that the work pool runs, or beside the process that serves it.
    """

    name: str
    flow_name: str
    entrypoint: str
    description: str | None = None
    version: str | None = None
    version_type: str | None = None
    tags: Sequence[str] = ()
    schedules: Sequence[Schedule] = ()
    triggers: Sequence[DeploymentTrigger] = ()
    paused: bool | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    parameter_openapi_schema: Mapping[str, Any] = field(default_factory=dict)
    enforce_parameter_schema: bool = True
    concurrency_limit: Any = None
    work_pool_name: str | None = None
    work_queue_name: str | None = None
    job_variables: Mapping[str, Any] = field(default_factory=dict)
    storage: CodeStorage | None = None
    pull_steps: Sequence[Mapping[str, Any]] | None = None
    path: str | None = None

    def __post_init__(self) -> None:
        self.name = self.name.removesuffix(".py")
        if not self.name or any(character in self.name for character in "/%&><"):
            raise ConfigurationError(f"A deployment cannot be called {self.name!r}: none of / % & > < may be in it.")

    @property
    def full_name(self) -> str:
        return f"{self.flow_name}/{self.name}"

    @property
    def entrypoint_type(self) -> EntrypointType:
        is_file = self.entrypoint.partition(":")[0].endswith(".py")
        return EntrypointType.FILE_PATH if is_file else EntrypointType.MODULE_PATH

    # Making one

    @classmethod
    def from_flow(
        cls,
        flow: Flow[..., Any],
        name: str,
        interval: Any = None,
        cron: Any = None,
        rrule: Any = None,
        paused: bool | None = None,
        schedule: Any = None,
        schedules: Iterable[Any] | None = None,
        concurrency_limit: Any = None,
        parameters: Mapping[str, Any] | None = None,
        triggers: Iterable[Any] | None = None,
        description: str | None = None,
        tags: Iterable[str] | None = None,
        version: str | None = None,
        enforce_parameter_schema: bool = True,
        work_pool_name: str | None = None,
        work_queue_name: str | None = None,
        job_variables: Mapping[str, Any] | None = None,
        entrypoint_type: EntrypointType | str = EntrypointType.FILE_PATH,
        version_type: str | None = None,
        _sla: Any = None,
    ) -> RunnerDeployment:
        """The deployment of a flow; see `Flow.to_deployment`. Raises ConfigurationError, and ParameterTypeError for
        parameters that the flow does not take."""
        if _sla:
            raise ConfigurationError(f"_sla: {NO_SLA}")
        given = dict(parameters or {})
        if enforce_parameter_schema:
            _check_parameters(flow, given)
        return cls(
            name=name,
            flow_name=flow.name,
            entrypoint=entrypoint_of(flow, EntrypointType(entrypoint_type)),
            description=flow.description if description is None else description,
            version=flow.version if version is None else version,
            version_type=version_type,
            tags=sorted(set(tags or ())),
            schedules=schedules_of(interval, cron, rrule, schedule, schedules),
            triggers=triggers_of(triggers),
            paused=paused,
            parameters=given,
            parameter_openapi_schema=flow.parameters,
            enforce_parameter_schema=enforce_parameter_schema,
            concurrency_limit=concurrency_limit,
            work_pool_name=work_pool_name,
            work_queue_name=work_queue_name,
            job_variables=dict(job_variables or {}),
            storage=flow._storage,
        )

    @classmethod
    def from_entrypoint(cls, entrypoint: str, name: str, **options: Any) -> RunnerDeployment:
        """The deployment of the flow at an entrypoint below the working directory."""
        from sempre.sdk.loading import load_flow_from_entrypoint

        return cls.from_flow(load_flow_from_entrypoint(entrypoint), name, **options)

    @classmethod
    def from_storage(cls, storage: CodeStorage, entrypoint: str, name: str, **options: Any) -> RunnerDeployment:
        """The deployment of the flow at an entrypoint in a storage, which is pulled to look at it."""
        from sempre.sdk.deploying.sources import flow_from_source

        return cls.from_flow(flow_from_source(storage, entrypoint), name, **options)

    # Making it known

    def _apply(self, work_pool_name: str | None = None, image: str | None = None) -> UUID:
        """Create the deployment, or change the one of this name into this one; returns its id.

        ``work_pool_name`` stands in where the deployment names none; ``image`` is what its runs are executed in,
        whatever its job variables say. Raises the client's errors.
        """
        from sempre.sdk.deploying.applying import apply

        return apply(self, work_pool_name, image)

    apply = either(_apply)
    aapply = awaitable(_apply)


def _check_parameters(flow: Flow[..., Any], given: Mapping[str, Any]) -> None:
    """Defaults may be wrong in what they say, not in what they leave to the run."""
    strange = [name for name in given if name not in flow.signature.parameters]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in flow.signature.parameters.values())
    if strange and not takes_any:
        raise ParameterTypeError(
            f"The flow {flow.name!r} takes no parameter {', '.join(map(repr, strange))}; it takes "
            f"{', '.join(flow.signature.parameters) or 'none'}."
        )
