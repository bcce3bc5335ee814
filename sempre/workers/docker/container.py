"""The container of a run, from the pool's template and the run. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from sempre.workers.configuration import JobConfiguration
from sempre.workers.docker.errors import ContainerError
from sempre.workers.docker.options import laid_over, options, size

__all__ = ["START_LABEL", "Plan", "container_name", "docker_label", "plan"]

HOST_NAME = "host.docker.internal"
START_LABEL = "io.sempre.start"
API_URLS = ("SEMPRE_API_URL", "PREFECT_API_URL")

_HERE = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0"})  # noqa: S104
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_.-]+")
_LONGEST_NAME = 200


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to create: the body of the request, the name to begin with, and networks to connect it to afterwards."""

    name: str
    image: str
    body: dict[str, Any]
    more_networks: tuple[str, ...] = ()


def plan(job: JobConfiguration, *, start_id: str, image: str, command: Sequence[str]) -> Plan:
    """The container of a run. `start_id` tells it from others of the same run; `image` and `command` are for templates
    that name none. Raises ContainerError for options that are none."""
    values = job.values
    networks = [str(name) for name in values.get("networks") or ()]
    if networks and values.get("network_mode"):
        raise ContainerError("The job has both networks and a network_mode; a container can have one of them.")
    image = str(values.get("image") or image)
    body = laid_over(_body(job, image, command, networks), options(values.get("container_create_kwargs") or {}))
    extra_env = [entry for entry in body.get("Env", ()) if isinstance(entry, str)]
    env = {**dict(entry.partition("=")[::2] for entry in extra_env), **job.env}
    on_host = body["HostConfig"].get("NetworkMode") == "host"
    if not on_host:
        env = _reaching_host(env)
        if any(urlsplit(env.get(name, "")).hostname == HOST_NAME for name in API_URLS):
            hosts = body["HostConfig"].get("ExtraHosts") or []
            if not any(str(host).startswith(HOST_NAME) for host in hosts):
                # Engines on Linux do not know the name by themselves.
                body["HostConfig"]["ExtraHosts"] = [*hosts, f"{HOST_NAME}:host-gateway"]
    body["Env"] = [f"{name}={value}" for name, value in env.items()]
    body["Labels"] = {**(body.get("Labels") or {}), **_labels(job), START_LABEL: start_id}
    return Plan(
        name=container_name(job.name, job.flow_run_name), image=image, body=body, more_networks=tuple(networks[1:])
    )


def container_name(*candidates: str | None) -> str:
    """What Docker takes as a name: the first candidate of which something is left."""
    for candidate in candidates:
        name = _NOT_IN_NAMES.sub("-", candidate or "")[:_LONGEST_NAME].lstrip("-_.").rstrip("-")
        if len(name) > 1:
            return name
    return "flow-run"


def docker_label(key: str) -> str:
    """`prefect.io/flow-run-id` is `io.prefect.flow-run-id` on Docker."""
    return f"io.prefect.{key.removeprefix('prefect.io/')}" if key.startswith("prefect.io/") else key


def _labels(job: JobConfiguration) -> dict[str, str]:
    labels = {docker_label(key): str(value) for key, value in job.labels.items() if value is not None}
    return {**labels, "io.prefect.flow-run-id": str(job.flow_run_id)}


def _body(job: JobConfiguration, image: str, command: Sequence[str], networks: list[str]) -> dict[str, Any]:
    values = job.values
    host: dict[str, Any] = {
        "AutoRemove": bool(values.get("auto_remove", False)),
        "Binds": [str(volume) for volume in values.get("volumes") or ()],
        "Privileged": bool(values.get("privileged", False)),
    }
    for key, name in (("Memory", "mem_limit"), ("MemorySwap", "memswap_limit")):
        if values.get(name) is not None:
            host[key] = size(values[name])
    body: dict[str, Any] = {"Image": image, "HostConfig": host}
    body["Cmd"] = job.command_words or list(command)
    if networks:
        host["NetworkMode"] = networks[0]
        body["NetworkingConfig"] = {"EndpointsConfig": {networks[0]: {}}}
    elif values.get("network_mode"):
        host["NetworkMode"] = str(values["network_mode"])
    return body


def _reaching_host(env: Mapping[str, str]) -> dict[str, str]:
    """An API on the worker's machine has another name inside a container."""
    changed = dict(env)
    for name in API_URLS:
        parts = urlsplit(changed.get(name, ""))
        if parts.hostname in _HERE:
            port = f":{parts.port}" if parts.port else ""
            user, at, _ = parts.netloc.rpartition("@")
            changed[name] = urlunsplit(parts._replace(netloc=f"{user}{at}{HOST_NAME}{port}"))
    return changed
