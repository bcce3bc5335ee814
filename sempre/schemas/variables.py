"""Variables: named JSON values of a workspace."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from sempre.schemas import limits
from sempre.schemas.base import ActionModel, Record, compact_length, compact_size

__all__ = ["Variable", "VariableCreate", "VariableUpdate"]

_NAME = re.compile(r"[a-z0-9_-]*")


def _check_name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("only lowercase letters, digits, dashes and underscores are allowed")
    return value


def _check_value(value: Any) -> Any:
    bound = limits.current().variable_value
    # Counting bytes first is fast and never lets a value through that is too long in characters.
    if compact_size(value) > bound and compact_length(value) > bound:
        raise ValueError(f"Variable value must be less than {bound} characters")
    return value


VariableName = Annotated[str, Field(max_length=255), AfterValidator(_check_name)]
VariableValue = Annotated[str | int | bool | float | dict[str, Any] | list[Any] | None, AfterValidator(_check_value)]


class VariableCreate(ActionModel):
    name: VariableName
    value: VariableValue
    tags: list[str] = Field(default_factory=list)


class VariableUpdate(ActionModel):
    name: VariableName | None = None
    value: VariableValue = None
    tags: list[str] | None = None


class Variable(Record):
    name: Annotated[str, Field(max_length=255)]
    value: str | int | bool | float | dict[str, Any] | list[Any] | None
    tags: list[str] = Field(default_factory=list)
