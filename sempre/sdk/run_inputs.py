"""Input that a paused run waits for: which form it has, and what somebody gave."""

from __future__ import annotations

import json
from typing import Any, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, TypeAdapter, create_model

from sempre.client import ObjectAlreadyExists, get_client

__all__ = ["Expected", "RunInput", "keyset_of"]

T = TypeVar("T", bound="RunInput")


class RunInput(BaseModel):
    """Base class of what people enter when they resume a run: its fields become a form."""

    model_config = ConfigDict(extra="forbid")

    @classmethod
    def with_initial_data(cls: type[T], description: str | None = None, **defaults: Any) -> type[T]:
        """The same form with values filled in, and a text (markdown) above it."""
        fields: dict[str, Any] = {
            name: (cls.model_fields[name].annotation, value)
            for name, value in defaults.items()
            if name in cls.model_fields
        }
        strange = defaults.keys() - cls.model_fields.keys()
        if strange:
            raise ValueError(f"{cls.__name__} has no fields {sorted(strange)}")
        filled = create_model(cls.__name__, __base__=cls, __module__=cls.__module__, **fields)
        filled._sempre_description = description  # type: ignore[attr-defined]
        return filled


class Expected:
    """What is waited for: a RunInput, or any other type, which then is the one field ``value`` of the form."""

    def __init__(self, wanted: Any) -> None:
        self._is_model = isinstance(wanted, type) and issubclass(wanted, BaseModel)
        if self._is_model:
            self._model: type[BaseModel] = wanted
        else:
            self._model = create_model("Input", __config__=ConfigDict(extra="forbid"), value=(wanted, ...))
            TypeAdapter(wanted)

    async def ask(self, run_id: UUID, keys: dict[str, str]) -> None:
        """Leave the form where those who resume the run find it."""
        texts = {"schema": json.dumps(self._model.model_json_schema())}
        description = getattr(self._model, "_sempre_description", None)
        if isinstance(description, str):
            texts["description"] = json.dumps(description)
        for part, text in texts.items():
            try:
                await get_client().create_flow_run_input(run_id, keys[part], text)
            except ObjectAlreadyExists:
                continue  # an earlier attempt of this run asked

    async def answer(self, run_id: UUID, keys: dict[str, str]) -> Any:
        """What was given. Raises pydantic's ValidationError for what does not fit, ObjectNotFound for nothing."""
        given = self._model.model_validate_json(await get_client().read_flow_run_input(run_id, keys["response"]))
        return given if self._is_model else given.value  # type: ignore[attr-defined]


def keyset_of(kind: str, number: str) -> dict[str, str]:
    """The keys of one pause's input; ``kind`` is `paused` or `suspended`."""
    return {part: f"{kind}-{number}-{part}" for part in ("description", "response", "schema")}
