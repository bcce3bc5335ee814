"""What is copied, in an order in which everything comes after what it refers to.

Ids differ between servers, so things are known by their names. Whatever is copied leaves its two ids in a `Ledger`, and
every id of the source that occurs anywhere in a later document is replaced by the target's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sempre.cli.bodies import deployment_body, pick
from sempre.cli.lists import pages
from sempre.cli.rest import Api, Json, seg

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

_POOL = (
    "name", "type", "description", "base_job_template", "is_paused", "concurrency_limit", "storage_configuration",
)  # fmt: skip
_QUEUE = ("name", "description", "is_paused", "concurrency_limit")
_BLOCK_TYPE = ("name", "slug", "logo_url", "documentation_url", "description", "code_example")
_ACTIONS = ("actions", "actions_on_trigger", "actions_on_resolve")
_AUTOMATION = ("name", "description", "enabled", "tags", "trigger", *_ACTIONS)
# Members of actions that are an id of something; without it the action would act on nothing, or on a stranger.
_REFERENCES = ("deployment_id", "work_pool_id", "work_queue_id", "automation_id", "block_document_id")


class MissingReference(Exception):
    """A document refers to something that was not copied (yet)."""


@dataclass
class Ledger:
    """Ids of the source to ids of the target."""

    ids: dict[str, str] = field(default_factory=dict)

    def translate(self, value: Any) -> Any:
        """The same with the target's ids; ids that are no one's stay."""
        if isinstance(value, str):
            return _ID.sub(lambda found: self.ids.get(found[0], found[0]), value)
        if isinstance(value, dict):
            return {name: self.translate(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self.translate(each) for each in value]
        return value

    def require(self, ids: list[str]) -> None:
        """Raise MissingReference if one of these of the source is not on the target."""
        for each in ids:
            if each not in self.ids:
                raise MissingReference(f"it refers to {each}, which was not copied")


@dataclass(frozen=True)
class Kind:
    """How one kind is read, compared and made."""

    title: str
    read: Callable[[Api], list[Json]]
    """All of a server. What a name is made of is put into the documents under `_key` and `_name`."""
    body: Callable[[Json], Json]
    """What makes a document like this one, with the ids of its own server."""
    create: Callable[[Api, Json, Json], Json]
    """(target, body, the source's document) -> what is there now."""
    change: Callable[[Api, Json, Json], None] | None = None
    """(target, body, the target's document); None: what is there is never touched."""
    pristine: Callable[[Json], bool] = lambda document: False
    """Whether the target's document is as the server made it by itself, so that nobody loses anything by a change."""
    side_by_side: bool = False
    """Whether several may be made at once."""
    refers_to: Callable[[Json], list[str]] = lambda document: []
    """Ids that must have been copied before, because the target would not miss them."""


def _listed(path: str, name: str = "name", body: Json | None = None) -> Callable[[Api], list[Json]]:
    def read(api: Api) -> list[Json]:
        found = list(pages(api, path, body))
        return [{**item, "_key": item[name], "_name": item[name]} for item in found]

    return read


def _post(path: str) -> Callable[[Api, Json, Json], Json]:
    def create(api: Api, body: Json, _: Json) -> Json:
        made: Json = api.post(path, body)
        return made

    return create


def _patch(path: str, member: str = "id") -> Callable[[Api, Json, Json], None]:
    def change(api: Api, body: Json, there: Json) -> None:
        api.patch(f"{path}/{seg(there[member])}", {name: value for name, value in body.items() if name != "name"})

    return change


def _schemas(api: Api) -> list[Json]:
    found = list(pages(api, "/block_schemas/filter"))
    return [
        {
            **item,
            "_key": (item["checksum"], item.get("version")),
            "_name": f"{(item.get('block_type') or {}).get('slug', '?')} {item['checksum'][7:15]}",
        }
        for item in found
    ]


def _blocks(api: Api) -> list[Json]:
    found = list(pages(api, "/block_documents/filter", {"include_secrets": True}))
    named = [item for item in found if item["name"] and not item["is_anonymous"]]
    slugs = [(item, (item.get("block_type") or {}).get("slug", "?")) for item in named]
    return [{**item, "_key": (slug, item["name"]), "_name": f"{slug}/{item['name']}"} for item, slug in slugs]


def _nested(document: Json) -> list[str]:
    references = document.get("block_document_references") or {}
    return [each["block_document"]["id"] for each in references.values()]


def _block_body(document: Json) -> Json:
    data = dict(document["data"])
    for name, reference in (document.get("block_document_references") or {}).items():
        data[name] = {"$ref": {"block_document_id": reference["block_document"]["id"]}}
    return {
        "name": document["name"],
        "data": data,
        "block_type_id": document["block_type_id"],
        "block_schema_id": document["block_schema_id"],
    }


def _change_block(api: Api, body: Json, there: Json) -> None:
    changes = {"data": body["data"], "block_schema_id": body["block_schema_id"], "merge_existing_data": False}
    api.patch(f"/block_documents/{there['id']}", changes)


def _queues(api: Api) -> list[Json]:
    found = sorted(pages(api, "/work_queues/filter"), key=lambda queue: int(queue["priority"]))
    return [
        {
            **item,
            "_key": (item["work_pool_name"], item["name"]),
            "_name": f"{item['work_pool_name']}/{item['name']}",
        }
        for item in found
        if item.get("work_pool_name")
    ]


def _create_queue(api: Api, body: Json, document: Json) -> Json:
    path = f"/work_pools/{seg(document['work_pool_name'])}/queues"
    made: Json = api.post(path, {**body, "priority": document["priority"]})
    return made


def _global_limits(api: Api) -> list[Json]:
    """Those that somebody named: limits of tags and of deployments come with their tags and deployments."""
    found = _listed("/v2/concurrency_limits/filter")(api)
    return [item for item in found if not item["name"].startswith(("tag:", "deployment:"))]


def _deployments(api: Api) -> list[Json]:
    flows = {flow["id"]: flow["name"] for flow in pages(api, "/flows/filter")}
    return [
        {**item, "_key": (flows[item["flow_id"]], item["name"]), "_name": f"{flows[item['flow_id']]}/{item['name']}"}
        for item in pages(api, "/deployments/filter", {"sort": "NAME_ASC"})
        if item["flow_id"] in flows
    ]


def _deployment_body(document: Json) -> Json:
    return {**deployment_body(document), "flow_id": document["flow_id"]}


def _automations(api: Api) -> list[Json]:
    """Names may be repeated: the second of a name is another one than the first."""
    found = sorted(pages(api, "/automations/filter"), key=lambda item: (item["name"], item["created"] or ""))
    counts: dict[str, int] = {}
    for item in found:
        counts[item["name"]] = number = counts.get(item["name"], 0) + 1
        item |= {"_key": (item["name"], number), "_name": item["name"]}
    return found


def _automation_body(document: Json) -> Json:
    body = pick(document, _AUTOMATION)
    return {**body, "trigger": _without_trigger_ids(body["trigger"])}


def _without_trigger_ids(trigger: Json) -> Json:
    bare = {name: value for name, value in trigger.items() if name != "id"}
    if isinstance(bare.get("triggers"), list):
        bare["triggers"] = [_without_trigger_ids(each) for each in bare["triggers"]]
    return bare


def _acted_upon(document: Json) -> list[str]:
    actions = [each for name in _ACTIONS for each in document.get(name) or ()]
    return [action[name] for action in actions for name in _REFERENCES if action.get(name)]


def _change_automation(api: Api, body: Json, there: Json) -> None:
    api.put(f"/automations/{there['id']}", body)


KINDS = (
    Kind(
        "block types",
        _listed("/block_types/filter", "slug"),
        lambda it: pick(it, _BLOCK_TYPE),
        _post("/block_types/"),
    ),
    Kind(
        "block schemas",
        _schemas,
        lambda it: pick(it, ("fields", "block_type_id", "capabilities", "version")),
        _post("/block_schemas/"),
    ),
    Kind("blocks", _blocks, _block_body, _post("/block_documents/"), _change_block, refers_to=_nested),
    Kind(
        "work pools",
        _listed("/work_pools/filter"),
        lambda it: pick(it, _POOL),
        _post("/work_pools/"),
        lambda api, body, there: api.patch(
            f"/work_pools/{seg(there['name'])}", {k: v for k, v in body.items() if k not in ("name", "type")}
        ),
        side_by_side=True,
    ),
    Kind(
        "work queues",
        _queues,
        lambda it: pick(it, _QUEUE),
        _create_queue,
        _patch("/work_queues"),
        pristine=lambda it: it["name"] == "default" and it["concurrency_limit"] is None and not it["is_paused"],
    ),
    Kind(
        "flows",
        _listed("/flows/filter"),
        lambda it: pick(it, ("name", "tags")),
        _post("/flows/"),
        _patch("/flows"),
        side_by_side=True,
    ),
    Kind(
        "variables",
        _listed("/variables/filter"),
        lambda it: {name: it[name] for name in ("name", "value", "tags")},
        _post("/variables/"),
        _patch("/variables"),
        side_by_side=True,
    ),
    Kind(
        "tag limits",
        _listed("/concurrency_limits/filter", "tag"),
        lambda it: pick(it, ("tag", "concurrency_limit")),
        _post("/concurrency_limits/"),
        lambda api, body, there: api.post("/concurrency_limits/", body),
        side_by_side=True,
    ),
    Kind(
        "global limits",
        _global_limits,
        lambda it: pick(it, ("name", "limit", "active", "slot_decay_per_second")),
        _post("/v2/concurrency_limits/"),
        _patch("/v2/concurrency_limits"),
        side_by_side=True,
    ),
    Kind(
        "deployments",
        _deployments,
        _deployment_body,
        _post("/deployments/"),
        lambda api, body, there: api.post("/deployments/", body),
        side_by_side=True,
    ),
    Kind(
        "automations",
        _automations,
        _automation_body,
        _post("/automations/"),
        _change_automation,
        refers_to=_acted_upon,
    ),
)  # fmt: skip
