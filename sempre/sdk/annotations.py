"""What users wrap arguments in to say how they are to be treated."""

from typing import Any, Generic, TypeVar

__all__ = ["BaseAnnotation", "allow_failure", "opaque", "quote", "unmapped"]

T = TypeVar("T")


class BaseAnnotation(Generic[T]):
    """A value with a remark."""

    __slots__ = ("value",)

    def __init__(self, value: T) -> None:
        self.value = value

    def unwrap(self) -> T:
        return self.value

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and bool(self.value == other.value)

    def __hash__(self) -> int:
        return hash((type(self), self.value))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.value!r})"


class unmapped(BaseAnnotation[T]):
    """In `map`: the same value for each call, even if it is iterable."""

    def __getitem__(self, _: object) -> T:
        return self.value


class allow_failure(BaseAnnotation[T]):
    """Run even if this upstream run fails; its exception then takes the place of its value."""


class quote(BaseAnnotation[T]):
    """Pass this value as it is, without looking for futures in it (large collections are handed on at once)."""

    def unquote(self) -> T:
        return self.value


class opaque(BaseAnnotation[T]):
    """Wait for this future if it is one, but do not look inside of it for others."""


def unannotated(value: Any) -> Any:
    """The value below any number of remarks."""
    while isinstance(value, BaseAnnotation):
        value = value.value
    return value
