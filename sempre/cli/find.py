"""One thing by what a person calls it: its id or its name."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sempre.cli.errors import CliError, NotFound
from sempre.cli.lists import any_of, read_list
from sempre.cli.rest import Api, Json, seg


@dataclass(frozen=True)
class Kind:
    """A kind of thing: what people call it, where it is, its member in filters, and the command that lists it."""

    noun: str
    path: str
    member: str
    listed_by: str
    by_name: str | None = None
    """Path of a read by name, with `{}` for the name; without it the list is filtered."""


FLOW_RUN = Kind("flow run", "/flow_runs", "flow_runs", "sempre flow-run ls")
TASK_RUN = Kind("task run", "/task_runs", "task_runs", "sempre task-run ls")
FLOW = Kind("flow", "/flows", "flows", "sempre flow ls", "/flows/name/{}")
DEPLOYMENT = Kind("deployment", "/deployments", "deployments", "sempre deployment ls")
AUTOMATION = Kind("automation", "/automations", "automations", "sempre automation ls")
VARIABLE = Kind("variable", "/variables", "variables", "sempre variable ls", "/variables/name/{}")
WORK_POOL = Kind("work pool", "/work_pools", "work_pools", "sempre work-pool ls", "/work_pools/{}")
BLOCK = Kind("block", "/block_documents", "block_documents", "sempre block ls")
BLOCK_TYPE = Kind("block type", "/block_types", "block_types", "sempre block type ls", "/block_types/slug/{}")
GLOBAL_LIMIT = Kind(
    "global concurrency limit", "/v2/concurrency_limits", "", "sempre gcl ls", "/v2/concurrency_limits/{}"
)
TAG_LIMIT = Kind(
    "concurrency limit of the tag",
    "/concurrency_limits",
    "",
    "sempre concurrency-limit ls",
    "/concurrency_limits/tag/{}",
)


def is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def missing(kind: Kind, called: str) -> CliError:
    """The error for a thing that is not there."""
    return CliError(f"{kind.noun.capitalize()} {called!r} not found. `{kind.listed_by}` lists what there is.")


def find(api: Api, kind: Kind, called: str) -> Json:
    """The one thing with this id or name. Raises CliError when there is none, or several of that name."""
    found = find_if_there(api, kind, called)
    if found is None:
        raise missing(kind, called)
    return found


def find_if_there(api: Api, kind: Kind, called: str) -> Json | None:
    """The same; None when there is none."""
    if is_id(called) and kind is not WORK_POOL:  # pools are read by name alone
        return _read(api, f"{kind.path}/{called}")
    if kind.by_name:
        return _read(api, kind.by_name.format(seg(called)))
    return _only(kind, called, read_list(api, f"{kind.path}/filter", {kind.member: {"name": any_of(called)}}, 6))


def _read(api: Api, path: str) -> Json | None:
    try:
        found: Json = api.get(path)
    except NotFound:
        return None
    return found


def _only(kind: Kind, called: str, found: list[Json]) -> Json | None:
    if len(found) > 1:
        ids = ", ".join(item["id"] for item in found[:5]) + (", ..." if len(found) > 5 else "")
        raise CliError(f"Several {kind.noun}s are called {called!r}; give the id of the one you mean: {ids}")
    return found[0] if found else None


def find_deployment(api: Api, called: str) -> Json:
    """By `FLOW/DEPLOYMENT`, by its id, or by its own name where no other deployment has it."""
    flow, slash, name = called.partition("/")
    if not slash:
        return find(api, DEPLOYMENT, called)
    try:
        document: Json = api.get(f"/deployments/name/{seg(flow)}/{seg(name)}")
    except NotFound:
        raise missing(DEPLOYMENT, called) from None
    return document
