"""What templates of automations see: events, resources and labels, readable by dots and by keys.

All of them are plain JSON objects underneath, so that a template may also turn them to JSON.
"""

from collections.abc import Mapping
from typing import Any

__all__ = ["EventView", "LabelPath", "Labels", "ObjectView", "ResourceView"]

_ID, _NAME, _ROLE = "prefect.resource.id", "prefect.resource.name", "prefect.resource.role"


class Labels(dict[str, str]):
    """Labels by key (``labels["a.b"]``) or by dots (``labels.a.b``)."""

    def __getattr__(self, name: str) -> "LabelPath":
        return _path(self, name)


class LabelPath:
    """Labels that begin alike. As a text it is the value of the label of exactly that name, or nothing."""

    __slots__ = ("_labels", "_name")

    def __init__(self, labels: Mapping[str, str], name: str) -> None:
        self._labels = labels
        self._name = name

    def __getattr__(self, name: str) -> "LabelPath":
        return _path(self._labels, f"{self._name}.{name}", last=name)

    def __str__(self) -> str:
        return str(self._labels.get(self._name, ""))

    def __bool__(self) -> bool:
        return bool(self._labels.get(self._name))

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


def _path(labels: Mapping[str, str], name: str, last: str | None = None) -> LabelPath:
    if (last or name).startswith("_"):
        raise AttributeError(name)
    return LabelPath(labels, name)


class ResourceView(dict[str, str]):
    """The labels of a resource, with its ``id``, ``name`` and ``role``."""

    @property
    def id(self) -> str | None:
        return self.get(_ID)

    @property
    def name(self) -> str | None:
        return self.get(_NAME)

    @property
    def role(self) -> str | None:
        return self.get(_ROLE)

    @property
    def labels(self) -> Labels:
        return Labels(self)


class EventView(dict[str, Any]):
    """An event as clients know it; ``resource_in_role["flow"]`` is the first related resource of that role."""

    def __init__(self, event: Mapping[str, Any], ui: str) -> None:
        super().__init__(event)
        self["resource"] = ResourceView(event["resource"])
        self["related"] = [ResourceView(resource) for resource in event.get("related") or ()]
        self._ui = ui

    @property
    def url(self) -> str:
        """Where people look at the event."""
        return self.at(self._ui)

    def at(self, ui: str) -> str:
        """Where people look at the event in the web UI of that address."""
        return f"{ui}/events/event/{str(self['occurred'])[:10]}/{self['id']}"

    @property
    def resource_in_role(self) -> dict[str, ResourceView]:
        roles: dict[str, ResourceView] = {}
        for resource in self["related"]:
            roles.setdefault(str(resource.role), resource)
        return roles


_PAGES = {
    "flow": "flows/flow/{id}",
    "flow-run": "runs/flow-run/{id}",
    "task-run": "runs/task-run/{id}",
    "deployment": "deployments/deployment/{id}",
    "work-pool": "work-pools/work-pool/{name}",
    "work-queue": "work-queues/work-queue/{id}",
    "concurrency-limit": "concurrency-limits/concurrency-limit/{id}",
    "automation": "automations/automation/{id}",
    "block-document": "blocks/block/{id}",
}


class ObjectView(dict[str, Any]):
    """An object of the protocol that knows of what ``kind`` it is."""

    def __init__(self, kind: str, fields: Mapping[str, Any]) -> None:
        super().__init__(fields)
        self._kind = kind

    @property
    def resource_id(self) -> str:
        return f"prefect.{self._kind}.{self['id']}"

    def url(self, ui: str) -> str | None:
        """Where people look at the object in the web UI of that address (spec/tenancy 1)."""
        page = _PAGES.get(self._kind)
        return None if page is None else f"{ui}/{page.format(id=self.get('id'), name=self.get('name'))}"
