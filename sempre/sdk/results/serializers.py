"""How values become bytes."""

from __future__ import annotations

import base64
import importlib
from collections.abc import Iterator
from typing import Any

from sempre.sdk.errors import SerializationError

__all__ = [
    "CompressedJSONSerializer",
    "CompressedPickleSerializer",
    "CompressedSerializer",
    "JSONSerializer",
    "PickleSerializer",
    "Serializer",
    "serializer_of",
]


class Serializer:
    """Writes values as text, encoded in UTF-8, and reads them back. ``type`` is its name in settings and metadata."""

    type = "serializer"

    def dumps(self, value: Any) -> bytes:
        """Raises SerializationError for what it cannot write."""
        try:
            return self._dumps(value)
        except Exception as error:
            raise SerializationError(
                f"A value of type {type(value).__name__} cannot be written with the serializer {self.type!r}: {error}"
            ) from error

    def loads(self, data: bytes) -> Any:
        """Raises SerializationError for what it did not write."""
        try:
            return self._loads(data)
        except Exception as error:
            raise SerializationError(f"A result cannot be read with the serializer {self.type!r}: {error}") from error

    def to_json(self) -> dict[str, Any]:
        return {"type": self.type}

    def _dumps(self, value: Any) -> bytes:
        raise TypeError("this serializer writes nothing")

    def _loads(self, data: bytes) -> Any:
        raise TypeError("this serializer reads nothing")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Serializer) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(repr(self.to_json()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.type!r})"


class PickleSerializer(Serializer):
    """Any Python value; functions and classes of scripts too (cloudpickle). Read only what you trust."""

    type = "pickle"

    def _dumps(self, value: Any) -> bytes:
        import cloudpickle

        return base64.encodebytes(cloudpickle.dumps(value))

    def _loads(self, data: bytes) -> Any:
        import cloudpickle

        return cloudpickle.loads(base64.decodebytes(data))


class JSONSerializer(Serializer):
    """Plain data, pydantic models, dataclasses, times and ids, readable by others; exceptions by name and arguments.

    Models and dataclasses are read back as themselves where their class can be imported.
    """

    type = "json"

    def _dumps(self, value: Any) -> bytes:
        from pydantic_core import to_json

        return to_json(_tagged(value))

    def _loads(self, data: bytes) -> Any:
        import json

        return _untagged(json.loads(data))


class CompressedSerializer(Serializer):
    """Another serializer's text, compressed by a module with ``compress`` and ``decompress``: lzma, bz2, zlib."""

    def __init__(self, serializer: Serializer | str, compressionlib: str = "lzma") -> None:
        self.serializer = serializer_of(serializer)
        self.compressionlib = compressionlib
        self.type = f"compressed/{self.serializer.type}"
        self._library = importlib.import_module(compressionlib)

    def to_json(self) -> dict[str, Any]:
        return {"type": self.type, "compressionlib": self.compressionlib}

    def _dumps(self, value: Any) -> bytes:
        return base64.encodebytes(self._library.compress(self.serializer.dumps(value)))

    def _loads(self, data: bytes) -> Any:
        return self.serializer.loads(self._library.decompress(base64.decodebytes(data)))


class CompressedPickleSerializer(CompressedSerializer):
    def __init__(self, compressionlib: str = "lzma") -> None:
        super().__init__(PickleSerializer(), compressionlib)


class CompressedJSONSerializer(CompressedSerializer):
    def __init__(self, compressionlib: str = "lzma") -> None:
        super().__init__(JSONSerializer(), compressionlib)


def serializer_of(wanted: Serializer | str | dict[str, Any]) -> Serializer:
    """The serializer of a name (`pickle`, `json`, `compressed/pickle`, ...) or of metadata. Raises ValueError."""
    if isinstance(wanted, Serializer):
        return wanted
    described = {"type": wanted} if isinstance(wanted, str) else wanted
    name = str(described.get("type", "pickle"))
    if name.startswith("compressed/"):
        return CompressedSerializer(name.removeprefix("compressed/"), described.get("compressionlib", "lzma"))
    for kind in _below(Serializer):
        if kind.type == name:
            return kind()
    raise ValueError(
        f"there is no serializer {name!r}; there are pickle, json, compressed/ with one of them, and subclasses of "
        "Serializer that were imported, by their `type`"
    )


def _below(kind: type[Serializer]) -> Iterator[type[Serializer]]:
    for each in kind.__subclasses__():
        if not issubclass(each, CompressedSerializer):
            yield each
            yield from _below(each)


_TAG = "__sempre__"


def _tagged(value: Any) -> Any:
    """Marks what JSON alone would not read back as what it was."""
    if isinstance(value, BaseException):
        return {_TAG: "exception", "class": _name(type(value)), "args": _tagged(list(value.args)), "text": str(value)}
    if hasattr(value, "__pydantic_fields__") and not isinstance(value, type):
        return {_TAG: "model", "class": _name(type(value)), "data": value.model_dump(mode="json")}
    if hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        fields = {name: _tagged(getattr(value, name)) for name in value.__dataclass_fields__}
        return {_TAG: "dataclass", "class": _name(type(value)), "data": fields}
    if isinstance(value, dict):
        return {key: _tagged(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_tagged(each) for each in value]
    return value


def _untagged(value: Any) -> Any:
    if isinstance(value, list):
        return [_untagged(each) for each in value]
    if not isinstance(value, dict):
        return value
    tag = value.get(_TAG)
    if tag is None:
        return {key: _untagged(each) for key, each in value.items()}
    kind = _class(value["class"])
    if tag == "exception":
        if isinstance(kind, type) and issubclass(kind, BaseException):
            return kind(*_untagged(value["args"]))
        return RuntimeError(value["text"])
    if tag == "model":
        return value["data"] if kind is None else kind.model_validate(value["data"])
    data = _untagged(value["data"])
    return data if kind is None else kind(**data)


def _name(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _class(name: str) -> Any:
    module, _, qualified = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in qualified.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError):
        return None
    return found
