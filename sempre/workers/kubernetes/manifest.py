"""The manifest of a run's job, from the pool's template and the run. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sempre.workers.configuration import JobConfiguration
from sempre.workers.kubernetes.errors import ManifestError
from sempre.workers.kubernetes.names import fit_labels, name_prefix, object_name
from sempre.workers.kubernetes.secrets import SecretEnv, env_secret, refer_to_secrets

__all__ = ["COMMON_LABELS", "RUN_CONTAINER", "RUN_ID_LABEL", "START", "Plan", "plan"]

RUN_ID_LABEL = "prefect.io/flow-run-id"
START = "sempre.io/start"
RUN_CONTAINER = "prefect-job"
SIGTERM_BEHAVIOR = "PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR"
CLUSTER_BACKOFF_LIMIT = 6  # what the cluster assumes where a job says nothing

# https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/
COMMON_LABELS = {"app.kubernetes.io/name": "flow-run", "app.kubernetes.io/managed-by": "sempre"}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to create: the job, and before it the secret with its environment if there is to be one."""

    namespace: str
    job: dict[str, Any]
    secret: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        name: str = self.job["metadata"]["name"]
        return name


def plan(
    job: JobConfiguration, *, suffix: str, start_id: str, image: str, command: Sequence[str],
    secret_envs: Mapping[str, SecretEnv],
) -> Plan:  # fmt: skip
    """The objects of a run. `suffix` makes the name of the job unlike others, `start_id` tells it from others of the
    same run; `image` and `command` are for templates that name none; `secret_envs` are the variables whose values are
    not written into the job.

    Raises ManifestError for a template that describes no job.
    """
    manifest = without_nulls(job.values.get("job_manifest"))
    pod, container = _parts(manifest)
    namespace = str(job.values.get("namespace") or manifest["metadata"].get("namespace") or "default")
    _fill_metadata(job, manifest, namespace, suffix)
    manifest["metadata"]["annotations"] = {**(manifest["metadata"].get("annotations") or {}), START: start_id}
    _fill_spec(job, manifest["spec"])
    _fill_container(job, container, image, command)
    env = {**job.env}
    env.setdefault(SIGTERM_BEHAVIOR, "relinquish" if _backs_off(manifest["spec"]) else "reschedule")
    own = container.get("env") if isinstance(container.get("env"), list) else []
    secret = None
    if job.values.get("store_env_as_secret"):
        secret = env_secret(manifest["metadata"], env)
        container["envFrom"] = [*(container.get("envFrom") or ()), {"secretRef": {"name": secret["metadata"]["name"]}}]
        env = {}
    container["env"] = _merged_env(refer_to_secrets(env, job.values.get("env") or {}, secret_envs), own)
    pod.setdefault("restartPolicy", "Never")
    return Plan(namespace=namespace, job=manifest, secret=secret)


def without_nulls(value: Any) -> Any:
    """A deep copy without members that are null, and without resources that name nothing."""
    if isinstance(value, Mapping):
        kept = {key: without_nulls(item) for key, item in value.items() if item is not None}
        resources = kept.get("resources")
        if isinstance(resources, dict):
            kept["resources"] = {key: item for key, item in resources.items() if item != {}}
        return kept
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def _parts(manifest: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The pod's spec and the container of the run. Missing metadata are added."""
    _expect(manifest, dict, "")
    for key, wanted in (("apiVersion", "batch/v1"), ("kind", "Job")):
        if manifest.setdefault(key, wanted) != wanted:
            raise ManifestError(
                f"The job manifest of the work pool has {key} {manifest[key]!r}; it must be {wanted!r}."
            )
    _expect(manifest.setdefault("metadata", {}), dict, "metadata")
    spec = _expect(manifest.get("spec"), dict, "spec")
    template = _expect(spec.get("template"), dict, "spec.template")
    _expect(template.setdefault("metadata", {}), dict, "spec.template.metadata")
    pod: dict[str, Any] = _expect(template.get("spec"), dict, "spec.template.spec")
    containers = _expect(pod.get("containers"), list, "spec.template.spec.containers")
    if not containers:
        raise ManifestError("The job manifest of the work pool has no container at spec.template.spec.containers.")
    for number, container in enumerate(containers):
        _expect(container, dict, f"spec.template.spec.containers[{number}]")
    return pod, next((each for each in containers if each.get("name") == RUN_CONTAINER), containers[0])


def _expect(value: Any, kind: type, path: str) -> Any:
    if not isinstance(value, kind):
        where = f" at {path}" if path else ""
        wanted = "an object" if kind is dict else "a list"
        raise ManifestError(
            f"The job manifest of the work pool needs {wanted}{where}, and has "
            f"{'nothing' if value is None else repr(value)} there. Compare its base job template with the default one."
        )
    return value


def _fill_metadata(job: JobConfiguration, manifest: dict[str, Any], namespace: str, suffix: str) -> None:
    metadata, pod_metadata = manifest["metadata"], manifest["spec"]["template"]["metadata"]
    metadata["namespace"] = namespace
    if "name" in metadata:  # the template's author wants one certain name
        metadata["name"] = object_name(str(metadata["name"]))
        metadata.pop("generateName", None)
    else:
        prefix = name_prefix(str(metadata.get("generateName") or ""), job.name, job.flow_run_name)
        # A name of our own, of the form that the cluster would make: creating it twice is found out.
        metadata |= {"generateName": prefix, "name": f"{prefix}{suffix}"}
    labels = fit_labels(
        {**COMMON_LABELS, **(metadata.get("labels") or {}), **job.labels, RUN_ID_LABEL: job.flow_run_id}
    )
    metadata["labels"] = labels
    pod_metadata["labels"] = {
        **labels,
        **fit_labels(pod_metadata.get("labels") or {}),
        RUN_ID_LABEL: labels[RUN_ID_LABEL],
    }
    for each in (metadata, pod_metadata):
        if "annotations" in each:
            each["annotations"] = {key: str(value) for key, value in each["annotations"].items()}


def _fill_spec(job: JobConfiguration, spec: dict[str, Any]) -> None:
    deadline = job.values.get("job_watch_timeout_seconds")
    if deadline:
        # The cluster keeps the time, so that it holds whether or not a worker is there.
        spec.setdefault("activeDeadlineSeconds", int(deadline))


def _fill_container(job: JobConfiguration, container: dict[str, Any], image: str, command: Sequence[str]) -> None:
    container.setdefault("name", RUN_CONTAINER)
    container.setdefault("image", image)
    args = container.get("args")
    if args is None or args == "":
        if job.command:
            args = job.command
        elif "command" not in container:  # a template with a command of its own needs no other
            args = list(command)
    if isinstance(args, str):
        try:
            args = shlex.split(args)
        except ValueError as error:
            raise ManifestError(f"The command {args!r} cannot be read: {error}.") from None
    if args is not None:
        container["args"] = args


def _backs_off(spec: Mapping[str, Any]) -> bool:
    return int(spec.get("backoffLimit", CLUSTER_BACKOFF_LIMIT)) > 0


def _merged_env(ours: list[dict[str, Any]], own: Any) -> list[dict[str, Any]]:
    """What the template writes down itself stands last and wins, as it may refer to what was said before."""
    written = {entry.get("name") for entry in own}
    return [*(entry for entry in ours if entry["name"] not in written), *own]
