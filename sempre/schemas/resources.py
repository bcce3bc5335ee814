"""Resources of events and the patterns that match them: plain dicts of labels, checked once."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema

from sempre.schemas import limits

__all__ = ["ID", "NAME", "ROLE", "RelatedResource", "Resource", "ResourceSpecification"]

ID = "prefect.resource.id"
NAME = "prefect.resource.name"
ROLE = "prefect.resource.role"

Labels = Mapping[str, str]


class _LabelMap(dict[str, Any]):
    """A dict with its own name in the API document. Ingest reads thousands of these per second: validation is one
    native pass over the dict and one call of ``_checked``, with no model per label."""

    _values: ClassVar[core_schema.CoreSchema]

    @classmethod
    def _checked(cls, labels: dict[str, Any]) -> "_LabelMap":
        return cls(labels)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        labels = core_schema.dict_schema(core_schema.str_schema(), cls._values)
        return core_schema.no_info_after_validator_function(
            cls._checked,
            labels,
            ref=f"{cls.__module__}.{cls.__qualname__}:{id(cls)}",
            serialization=core_schema.plain_serializer_function_ser_schema(dict, return_schema=labels),
            metadata={"pydantic_js_updates": {"title": cls.__name__}},
        )


class Resource(_LabelMap):
    """Labels of a resource, its id among them. Raises ``ValueError`` on validation if they are incomplete."""

    _values = core_schema.str_schema()

    @property
    def id(self) -> str:
        return str(self[ID])

    @property
    def name(self) -> str | None:
        return self.get(NAME)

    @classmethod
    def _checked(cls, labels: dict[str, Any]) -> "Resource":
        if not labels.get(ID):
            if ID not in labels:
                raise ValueError("Resources must include the prefect.resource.id label")
            raise ValueError("The prefect.resource.id label must be non-empty")
        bound = limits.current().labels_per_resource
        if len(labels) > bound:
            raise ValueError(f"The maximum number of labels per resource is {bound}")
        return cls(labels)


class RelatedResource(Resource):
    """A resource and the role it plays in the event."""

    @property
    def role(self) -> str:
        return str(self[ROLE])

    @classmethod
    def _checked(cls, labels: dict[str, Any]) -> "RelatedResource":
        checked = super()._checked(labels)
        if not labels.get(ROLE):
            if ROLE not in labels:
                raise ValueError("Related Resources must include the prefect.resource.role label")
            raise ValueError("The prefect.resource.role label must be non-empty")
        return checked  # type: ignore[return-value]


class ResourceSpecification(_LabelMap):
    """Label to a pattern, or to several of which one is enough: globs, negated by a leading ``!``.

    All labels must match; no labels match anything.
    """

    _values = core_schema.union_schema([core_schema.str_schema(), core_schema.list_schema(core_schema.str_schema())])

    def patterns(self) -> dict[str, list[str]]:
        """Every label with the list of its patterns."""
        return {label: [given] if isinstance(given, str) else given for label, given in self.items()}
