"""Checksums of block schemas: the sums are those that servers and clients of the protocol agree on."""

from __future__ import annotations

from typing import Any

import pytest

from sempre.core.block_schemas import checksum

FIELDS: dict[str, Any] = {
    "title": "T",
    "type": "object",
    "properties": {"v": {"$ref": "#/definitions/Any"}, "w": {"$ref": "#/definitions/Pair"}},
}
PAIR = {"title": "Pair", "type": "object"}
PLAIN = "sha256:90ce9d7c8a844f819f436697e4cb18e0c13f6af5604d943db3fcad7cd6093c81"
WITH_PAIR = "sha256:c49c40937c635401e10f0b75c496cd9eff4d9360947a7f2fafc52a2e5fa62b08"


@pytest.mark.parametrize(
    ("definitions", "expected"),
    [
        (None, PLAIN),
        ({"Pair": PAIR}, WITH_PAIR),
        # A field that takes any value has an empty definition; clients do not count it.
        ({"Any": {}, "Pair": PAIR}, WITH_PAIR),
        ({"Any": {}}, PLAIN),
        ({"Unused": PAIR}, PLAIN),
        ({"Pair": {**PAIR, "block_type_slug": "pair"}}, PLAIN),
        ({}, "sha256:bcb520c98d944df4085c76ef623481924f633bee3dc0ba5696b86b8d62ea42d8"),
    ],
)
def test_which_definitions_count(definitions: dict[str, Any] | None, expected: str) -> None:
    fields = FIELDS if definitions is None else {**FIELDS, "definitions": definitions}
    assert checksum(fields) == expected


def test_secret_fields_do_not_count() -> None:
    assert checksum({**FIELDS, "secret_fields": ["v"]}) == PLAIN
