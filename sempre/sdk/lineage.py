"""Which task run returned an object, so that a value that is passed on by itself still shows where it came from."""

from collections import OrderedDict
from typing import Any
from uuid import UUID

__all__ = ["Lineage"]

_KEPT = 2000
# Shared or tiny values: the same object comes from anywhere.
_ANONYMOUS = frozenset({int, float, str, bytes, bool, type(None), complex, type(...)})


class Lineage:
    """The objects that the latest task runs returned, by identity. An object is kept alive while it is listed, because
    an id says nothing once its object is gone."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, tuple[Any, UUID]] = OrderedDict()

    def note(self, value: Any, task_run_id: UUID) -> None:
        if type(value) in _ANONYMOUS:
            return
        self._known[id(value)] = (value, task_run_id)
        if len(self._known) > _KEPT:
            try:
                self._known.popitem(last=False)
            except KeyError:  # another thread was quicker
                return

    def origin(self, value: Any) -> UUID | None:
        found = self._known.get(id(value))
        return found[1] if found is not None and found[0] is value else None
