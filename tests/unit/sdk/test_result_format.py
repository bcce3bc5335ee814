"""The file that a result is kept in, byte for byte as the protocol's own client writes and reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sempre.sdk.errors import ConfigurationError, SerializationError
from sempre.sdk.filesystems import LocalFileSystem, RemoteFileSystem
from sempre.sdk.results.block_storage import is_block_reference
from sempre.sdk.results.serializers import Serializer
from sempre.sdk.results.storages import storage_of
from sempre.sdk.results.store import ResultStore, read_metadata
from tests.unit.sdk.fakes import FakeWorld

VALUE = {"a": 1, "b": [1, 2]}
# Recorded: what the other client's store wrote for VALUE, and how its metadata names the serializer.
RECORDED: dict[str, tuple[dict[str, Any], str]] = {
    "pickle": (
        {"type": "pickle", "picklelib": "cloudpickle", "picklelib_version": None},
        "gAWVFwAAAAAAAAB9lCiMAWGUSwGMAWKUXZQoSwFLAmV1Lg==\n",
    ),
    "json": (
        {"type": "json", "jsonlib": "json", "dumps_kwargs": {}, "loads_kwargs": {}},
        '{"a": 1, "b": [1, 2]}',
    ),
    "compressed/pickle": (
        {"type": "compressed/pickle", "compressionlib": "lzma"},
        "/Td6WFoAAATm1rRGAgAhARYAAAB0L+Wj4AAwAC9dADOQRuV/UNCTO6WzKsWSrropLQHqnf26IDIH\n"
        "NV5HRTvErinaknFNeW1uccCPQAAAAAA4/HqM4DF9VwABSzHfI9ViH7bzfQEAAAAABFla\n",
    ),
    "compressed/json": (
        {"type": "compressed/json", "compressionlib": "lzma"},
        "/Td6WFoAAATm1rRGAgAhARYAAAB0L+WjAQAUeyJhIjogMSwgImIiOiBbMSwgMl19AAAAANPcZ/DL\n"
        "42H0AAEtFS8LcW0ftvN9AQAAAAAEWVo=\n",
    ),
}


@pytest.mark.parametrize("kind", RECORDED)
def test_what_others_wrote_is_read(kind: str, world: FakeWorld, tmp_path: Path) -> None:
    serializer, text = RECORDED[kind]
    path = tmp_path / "k"
    metadata = {
        "storage_key": str(path), "expiration": None, "serializer": serializer, "prefect_version": "3.8.8",
        "storage_block_id": None,
    }  # fmt: skip
    path.write_text(json.dumps({"metadata": metadata, "result": text}))
    assert read_metadata(metadata).result == VALUE
    found = ResultStore(str(tmp_path)).read("k")
    assert found is not None
    assert found.result == VALUE


@pytest.mark.parametrize("kind", RECORDED)
def test_what_we_write_has_the_same_form(kind: str, world: FakeWorld, tmp_path: Path) -> None:
    store = ResultStore(str(tmp_path), kind)
    record = store.record(VALUE, "k")
    store.write(record)
    document = json.loads((tmp_path / "k").read_text())
    assert document.keys() == {"metadata", "result"}
    assert document["metadata"]["storage_key"] == str(tmp_path / "k"), "whoever knows no storages of ours finds it"
    assert document["metadata"]["serializer"]["type"] == kind
    if kind == "json":
        assert json.loads(document["result"]) == VALUE
    else:
        assert document["result"].endswith("\n"), "base64 in lines"
    assert read_metadata(document["metadata"]).result == VALUE


def test_a_serializer_that_gives_no_text_is_refused(world: FakeWorld, tmp_path: Path) -> None:
    class Raw(Serializer):
        type = "raw"

        def _dumps(self, value: Any) -> bytes:
            return b"\xff\xfe"

    store = ResultStore(str(tmp_path), Raw())
    with pytest.raises(SerializationError, match="no text"):
        store.write(store.record(1, "k"))


class Shouting(Serializer):
    """A user's own, found by its type once it was imported."""

    type = "shouting"

    def _dumps(self, value: Any) -> bytes:
        return str(value).upper().encode()

    def _loads(self, data: bytes) -> Any:
        return data.decode().lower()


def test_a_serializer_of_ones_own(world: FakeWorld, tmp_path: Path) -> None:
    for serializer in (Shouting(), "shouting"):
        store = ResultStore(str(tmp_path), serializer)
        store.write(store.record("hello", "k"))
        assert "HELLO" in (tmp_path / "k").read_text()
        found = ResultStore(str(tmp_path)).read("k")
        assert found is not None
        assert found.result == "hello"


def test_file_systems_are_places(world: FakeWorld, tmp_path: Path) -> None:
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    for place in (LocalFileSystem(basepath=str(tmp_path)), RemoteFileSystem(basepath="memory://results/here")):
        assert place.write_path("a/b", b"content") == "a/b"
        assert place.read_path("a/b") == b"content"
        with pytest.raises(FileNotFoundError):
            place.read_path("a/c")
        with pytest.raises(ConfigurationError, match="save"):
            ResultStore(place)
    store = ResultStore("memory://results/here")
    store.write(store.record(VALUE, "k"))
    assert read_metadata(store.record(VALUE, "k").metadata.to_json()).result == VALUE  # type: ignore[union-attr]


def test_what_names_a_block(tmp_path: Path) -> None:
    assert is_block_reference("s3-bucket/results")
    assert is_block_reference("local-file-system/My results")
    for path in ("./a/b", "/a/b", "../a", "~/a", "a", "a/b/c", "a/", "A/b", "s3://bucket/a", "a\\b/c"):
        assert not is_block_reference(path), path
    assert storage_of("./a/b") == storage_of(Path("a/b"))
