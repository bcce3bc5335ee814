"""SQL text with named parameters, numbered once for the wire.

A statement of twenty parameters is readable when they have names and fast when they have numbers; the translation
happens at import.
"""

import re
from typing import Any

__all__ = ["Statement"]

# `:name`, but neither the second half of a cast (`::uuid`) nor a time inside a literal.
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_][a-z0-9_]*)")


class Statement:
    """``Statement("SELECT :id::uuid")``: ``.sql`` is what asyncpg takes, ``.bind(id=...)`` its arguments in order."""

    __slots__ = ("names", "sql")

    def __init__(self, text: str) -> None:
        numbers: dict[str, int] = {}
        self.sql = _PARAMETER.sub(lambda m: f"${numbers.setdefault(m[1], len(numbers) + 1)}", text)
        self.names = tuple(numbers)

    def bind(self, **values: Any) -> list[Any]:
        """The arguments in the order of the placeholders. A missing name is a KeyError, an extra one is ignored."""
        return [values[name] for name in self.names]
