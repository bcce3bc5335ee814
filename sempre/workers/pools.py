"""The pool of a worker: read, made if it is missing, given a job template if it has none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sempre.client.client import Client
from sempre.client.errors import ApiRefused, ObjectAlreadyExists, ObjectNotFound
from sempre.schemas.work_pools import WorkPoolResponse

__all__ = ["WITHOUT_WORKERS", "PoolError", "default_template", "open_pool"]

WITHOUT_WORKERS = (":push", ":managed")
"""How the types end of pools that the server itself serves."""


class PoolError(Exception):
    """The pool cannot be served; the text says why, and what to do."""


async def default_template(client: Client, type: str) -> Mapping[str, Any]:
    """The job template that the server offers for a type; nothing if it offers none."""
    try:
        offered = await client.read_worker_metadata()
    except ApiRefused:
        return {}
    for types in offered.values():
        found = types.get(type) if isinstance(types, Mapping) else None
        if isinstance(found, Mapping):
            template = found.get("default_base_job_configuration")
            return template if isinstance(template, Mapping) else {}
    return {}


async def open_pool(
    client: Client, name: str, type: str, template: Mapping[str, Any], *, create: bool
) -> WorkPoolResponse:
    """The pool that the worker is to serve. Raises PoolError, and the client's errors."""
    try:
        pool = await client.read_work_pool(name)
    except ObjectNotFound:
        if not create:
            raise PoolError(
                f"There is no work pool {name!r}. Create it with `sempre work-pool create {name} --type {type}`."
            ) from None
        pool = await _created(client, name, type, template)
    if pool.type.endswith(WITHOUT_WORKERS):
        raise PoolError(f"Work pool {name!r} is of type {pool.type!r}, whose runs need no worker.")
    if pool.type != type:
        raise PoolError(f"Work pool {name!r} is of type {pool.type!r}; a worker of type {type!r} cannot serve it.")
    if not pool.base_job_template and template:
        await client.update_work_pool(name, base_job_template=dict(template))
        pool = await client.read_work_pool(name)
    return pool


async def _created(client: Client, name: str, type: str, template: Mapping[str, Any]) -> WorkPoolResponse:
    try:
        return await client.create_work_pool({"name": name, "type": type, "base_job_template": dict(template)})
    except ObjectAlreadyExists:  # another worker was quicker
        return await client.read_work_pool(name)
