"""`container_create_kwargs`: further options, in the names of the Engine's API or of its Python library. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from sempre.workers.docker.errors import ContainerError

__all__ = ["laid_over", "options", "size"]

_TOP = frozenset(
    {
        "Domainname", "Entrypoint", "Env", "ExposedPorts", "Healthcheck", "Hostname", "Labels", "MacAddress",
        "StopSignal", "StopTimeout", "Tty", "User", "WorkingDir",
    }
)  # fmt: skip
# Names that are not the same words, or stand for something else.
_RENAMED = {
    "dns_opt": "DnsOptions", "environment": "Env", "mem_limit": "Memory", "mem_reservation": "MemoryReservation",
    "mem_swappiness": "MemorySwappiness", "memswap_limit": "MemorySwap", "read_only": "ReadonlyRootfs",
    "uts_mode": "UTSMode", "volumes": "Binds",
}  # fmt: skip
_HOST = frozenset(
    {
        "AutoRemove", "Binds", "BlkioWeight", "CapAdd", "CapDrop", "CgroupParent", "CgroupnsMode", "CpuCount",
        "CpuPercent", "CpuPeriod", "CpuQuota", "CpuRealtimePeriod", "CpuRealtimeRuntime", "CpuShares", "CpusetCpus",
        "CpusetMems", "DeviceCgroupRules", "DeviceRequests", "Devices", "Dns", "DnsOptions", "DnsSearch", "ExtraHosts",
        "GroupAdd", "Init", "IpcMode", "Isolation", "Links", "LogConfig", "Memory", "MemoryReservation", "MemorySwap",
        "MemorySwappiness", "Mounts", "NanoCpus", "NetworkMode", "OomKillDisable", "OomScoreAdj", "PidMode",
        "PidsLimit", "PortBindings", "Privileged", "PublishAllPorts", "ReadonlyRootfs", "RestartPolicy", "Runtime",
        "SecurityOpt", "ShmSize", "StorageOpt", "Sysctls", "Tmpfs", "UTSMode", "Ulimits", "UsernsMode",
        "VolumeDriver", "VolumesFrom",
    }
)  # fmt: skip
_SIZES = frozenset({"Memory", "MemoryReservation", "MemorySwap", "ShmSize"})
_UNITS = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_SIZE = re.compile(r"(-?\d+(?:\.\d+)?)\s*([bkmgt]?)(?:i?b)?", re.IGNORECASE)


def options(said: Mapping[str, Any]) -> dict[str, Any]:
    """The options as a body of the Engine's API. Raises ContainerError for one that is none."""
    top: dict[str, Any] = {}
    for name, value in said.items():
        if value is None:
            continue
        if name in ("HostConfig", "NetworkingConfig"):
            top = laid_over(top, {name: value})
            continue
        if name == "ports":
            top = laid_over(top, _ports(value))
            continue
        key = _RENAMED.get(name) or "".join(part[:1].upper() + part[1:] for part in name.split("_"))
        if key in _TOP:
            top[key] = _CONVERTED.get(key, _same)(value)
        elif key in _HOST:
            value = size(value) if key in _SIZES else _CONVERTED.get(key, _same)(value)
            top = laid_over(top, {"HostConfig": {key: value}})
        else:
            raise ContainerError(
                f"container_create_kwargs has {name!r}, which is no option of containers. Write it as the Engine's API "
                "names it, for instance ShmSize, or as its Python library does: shm_size."
            )
    return top


def laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both, objects part by part; else what is above wins."""
    result = dict(below)
    for key, value in above.items():
        inner = result.get(key)
        result[key] = laid_over(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return result


def size(value: Any) -> int:
    """Bytes from a number or `512m`, `1.5g`, `-1`. Raises ContainerError."""
    found = _SIZE.fullmatch(str(value).strip())
    if found is None:
        raise ContainerError(f"{value!r} is not a size; write bytes, or for instance 512m or 1.5g.")
    return int(float(found[1]) * _UNITS[found[2].lower()])


def _same(value: Any) -> Any:
    return value


def _pairs(sign: str) -> Callable[[Any], Any]:
    def written(value: Any) -> Any:
        return [f"{key}{sign}{item}" for key, item in value.items()] if isinstance(value, Mapping) else value

    return written


def _words(value: Any) -> Any:
    return shlex.split(value) if isinstance(value, str) else value


def _binds(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return [f"{source}:{bind['bind']}:{bind.get('mode', 'rw')}" for source, bind in value.items()]


def _devices(value: Any) -> Any:
    def written(device: Any) -> Any:
        if not isinstance(device, str):
            return device
        host, _, rest = device.partition(":")
        inside, _, rights = rest.partition(":")
        return {"PathOnHost": host, "PathInContainer": inside or host, "CgroupPermissions": rights or "rwm"}

    return [written(device) for device in value]


def _ports(value: Mapping[Any, Any]) -> dict[str, Any]:
    """`{"8080/tcp": 80}`: ports of the container and where they are on the host."""
    bindings: dict[str, Any] = {}
    for inside, outside in value.items():
        name = str(inside) if "/" in str(inside) else f"{inside}/tcp"
        places = outside if isinstance(outside, list) else [outside]
        bindings[name] = [{"HostPort": "" if place is None else str(place)} for place in places]
    return {"ExposedPorts": {name: {} for name in bindings}, "HostConfig": {"PortBindings": bindings}}


_CONVERTED: dict[str, Callable[[Any], Any]] = {
    "Binds": _binds,
    "Devices": _devices,
    "Entrypoint": _words,
    "Env": _pairs("="),
    "ExtraHosts": _pairs(":"),
}
