"""Variables: named values that the server keeps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sempre.client import ObjectAlreadyExists, get_client
from sempre.sdk.dual import dual

__all__ = ["Variable"]


class Variable:
    """A variable as the server has it. The class methods also exist with an `a` in front, to be awaited anywhere."""

    def __init__(self, name: str, value: Any, tags: Iterable[str] = ()) -> None:
        self.name = name
        self.value = value
        self.tags = list(tags)

    @staticmethod
    async def aget(name: str, default: Any = None) -> Any:
        """The value of a variable; ``default`` without one."""
        found = await get_client().read_variable_by_name(name)
        return default if found is None else found.value

    @staticmethod
    async def aset(name: str, value: Any, tags: Iterable[str] | None = None, overwrite: bool = False) -> Variable:
        """Set a variable to any JSON value. Raises ValueError if there is one and it is not to be overwritten."""
        client = get_client()
        new = {"name": name, "value": value, "tags": list(tags or ())}
        try:
            await client.create_variable(new)
        except ObjectAlreadyExists:
            if not overwrite:
                raise ValueError(
                    f"There is a variable {name!r} already; say overwrite=True to give it another value."
                ) from None
            await client.update_variable(new)
        return Variable(**new)

    @staticmethod
    async def aunset(name: str) -> bool:
        """Delete a variable; False if there is none."""
        client = get_client()
        if await client.read_variable_by_name(name) is None:
            return False
        await client.delete_variable_by_name(name)
        return True

    get = staticmethod(dual(aget))
    set = staticmethod(dual(aset))
    unset = staticmethod(dual(aunset))

    def __repr__(self) -> str:
        return f"Variable({self.name!r}, {self.value!r})"
