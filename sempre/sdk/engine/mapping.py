"""`map`: one submitted call for each item."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from sempre.sdk.annotations import allow_failure, quote, unmapped
from sempre.sdk.engine.calls import submit_parameters
from sempre.sdk.errors import MappingLengthMismatch, MappingMissingIterable
from sempre.sdk.futures import FutureList

if TYPE_CHECKING:
    from sempre.sdk.tasks import Task

__all__ = ["calls_of", "map_task"]


def map_task(
    task: Task[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any], wait_for: Iterable[Any] | None
) -> FutureList[Any]:
    """Raises MappingMissingIterable or MappingLengthMismatch if the arguments cannot be gone through together."""
    parameters = task.signature.bind(args, kwargs, defaults=False)
    defaults = {name: value for name, value in task.signature.defaults.items() if name not in parameters}
    waited = None if wait_for is None else list(wait_for)
    return FutureList(
        submit_parameters(task, {**each, **defaults}, waited) for each in calls_of(_spread(task, parameters))
    )


def calls_of(parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The parameters of each call."""
    lists: dict[str, list[Any]] = {}
    fixed: dict[str, Any] = {}
    for name, value in parameters.items():
        inner = _items(value)
        if inner is None:
            fixed[name] = value.value if isinstance(value, unmapped) else value
        else:
            lists[name] = inner
    if not lists:
        raise MappingMissingIterable(
            "No iterable parameters were received. Parameters for map must include at least one iterable. "
            f"Parameters: {dict(parameters)}"
        )
    lengths = {name: len(items) for name, items in lists.items()}
    if len(set(lengths.values())) > 1:
        raise MappingLengthMismatch(
            "Received iterable parameters with different lengths. Parameters for map must all be the same length. "
            f"Got lengths: {lengths}"
        )
    count = next(iter(lengths.values()))
    order = list(parameters)
    return [{n: lists[n][at] if n in lists else fixed[n] for n in order} for at in range(count)]


def _items(value: Any) -> list[Any] | None:
    """The items of an argument to iterate over; None for one that is the same for each call."""
    if isinstance(value, unmapped):
        return None
    if isinstance(value, (allow_failure, quote)):
        inner = _items(value.value)
        return None if inner is None else [type(value)(each) for each in inner]
    if getattr(type(value), "is_future", False):
        value = value.result()
    if isinstance(value, (str, bytes, bytearray, Mapping)) or not isinstance(value, Iterable):
        return None
    return list(value)


def _spread(task: Task[Any, Any], parameters: dict[str, Any]) -> dict[str, Any]:
    """Items of `**kwargs` are mapped each by itself."""
    for name, parameter in task.signature.parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD and parameters.get(name):
            raise MappingMissingIterable(f"map does not go through the keyword arguments collected in **{name}.")
    return parameters
