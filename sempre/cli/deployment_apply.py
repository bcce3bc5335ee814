"""Deployments from files: created where they are missing, changed where they differ."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sempre.cli.bodies import deployment_body, differs
from sempre.cli.errors import CliError, NotFound
from sempre.cli.rest import Api, Json, seg
from sempre.cli.values import read_document


@dataclass(frozen=True)
class Outcome:
    verb: str
    name: str
    document: Json


def apply_files(api: Api, files: list[Path]) -> list[Outcome]:
    """All files are read before anything is changed. Raises CliError for what cannot be understood."""
    wanted = [(path, document) for path in files for document in _deployments(path)]
    named = [(_full_name(api, path, document), document) for path, document in wanted]
    return [_apply(api, flow, document) for flow, document in named]


def _deployments(path: Path) -> list[Json]:
    found = read_document(path)
    if isinstance(found, dict) and isinstance(found.get("deployments"), list):
        found = found["deployments"]
    documents = found if isinstance(found, list) else [found]
    if not documents or not all(isinstance(each, dict) for each in documents):
        raise CliError(f"{path} holds neither a deployment nor a list of deployments.")
    return documents


def _full_name(api: Api, path: Path, document: Json) -> str:
    """The flow's name; what `inspect` printed has its id instead."""
    if not document.get("name"):
        raise CliError(f"{path} has a deployment without a name.")
    flow = document.get("flow") or document.get("flow_name")
    if flow:
        return str(flow)
    if document.get("flow_id"):
        try:
            return str(api.get(f"/flows/{document['flow_id']}")["name"])
        except NotFound:
            raise CliError(
                f"{path}: {document['name']!r} is of a flow with an id of another server; say `flow: NAME` instead."
            ) from None
    raise CliError(f"{path}: {document['name']!r} needs `flow`, the name of its flow.")


def _apply(api: Api, flow: str, document: Json) -> Outcome:
    name = f"{flow}/{document['name']}"
    body: dict[str, Any] = deployment_body(document)
    before = _existing(api, flow, document["name"])
    if before is not None and not differs(body, deployment_body(before)):
        return Outcome("Unchanged", name, before)
    body["flow_id"] = api.post("/flows/", {"name": flow})["id"]
    after = api.post("/deployments/", body)
    return Outcome("Created" if before is None else "Changed", name, after)


def _existing(api: Api, flow: str, name: str) -> Json | None:
    try:
        found: Json = api.get(f"/deployments/name/{seg(flow)}/{seg(name)}")
    except NotFound:
        return None
    return found
