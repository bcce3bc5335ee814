"""Masking secrets, and what masks mean when they come back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sempre.core.secret_fields import MASK, is_secret, masked, unmasked

LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
KEYS = st.sampled_from(["a", "b", "c"])
VALUES = st.recursive(
    LEAVES, lambda inner: st.dictionaries(KEYS, inner, max_size=3) | st.lists(inner, max_size=3), max_leaves=8
)
DATA = st.dictionaries(KEYS, VALUES, max_size=3)
FIELDS = st.lists(st.sampled_from(["a", "b", "a.b", "a.*", "b.c.*", "*", "c.a.b"]), max_size=3)


@pytest.mark.parametrize(
    ("data", "fields", "shown"),
    [
        ({"a": "x", "b": "y"}, ["a"], {"a": MASK, "b": "y"}),
        ({"a": None}, ["a"], {"a": None}),
        ({"a": 0}, ["a"], {"a": MASK}),
        ({"a": {}}, ["a"], {"a": MASK}),
        ({"a": {"x": {"y": 1}, "z": None}}, ["a"], {"a": {"x": {"y": MASK}, "z": MASK}}),
        ({"a": [1, 2]}, ["a"], {"a": MASK}),
        ({"a": {"x": 1, "y": None}}, ["a.*"], {"a": {"x": MASK, "y": MASK}}),
        ({"a": {"b": 1, "c": 2}}, ["a.b"], {"a": {"b": MASK, "c": 2}}),
        ({"a": [{"b": 1}, {"c": 2}]}, ["a.b"], {"a": [{"b": MASK}, {"c": 2}]}),
        ({"a": "text"}, ["a.b"], {"a": "text"}),
        ({}, ["a", "a.b", "a.*"], {}),
    ],
)
def test_masking(data: dict[str, Any], fields: list[str], shown: dict[str, Any]) -> None:
    assert masked(data, fields) == shown


@pytest.mark.parametrize(
    ("sent", "stored", "fields", "meant"),
    [
        ({"a": MASK}, {"a": "x"}, ["a"], {"a": "x"}),
        ({"a": MASK}, {}, ["a"], {}),
        ({"a": MASK, "b": MASK}, {"a": "x", "b": "y"}, ["a"], {"a": "x", "b": MASK}),
        ({"a": {"x": MASK, "y": 2}}, {"a": {"x": 1}}, ["a.*"], {"a": {"x": 1, "y": 2}}),
        ({"a": {"new": MASK}}, {"a": {"x": 1}}, ["a.*"], {"a": {}}),
        ({"a": {"x": MASK}}, {"a": {"x": 1}}, ["a"], {"a": {"x": 1}}),
    ],
)
def test_unmasking(sent: dict[str, Any], stored: dict[str, Any], fields: list[str], meant: dict[str, Any]) -> None:
    assert unmasked(sent, stored, fields) == meant


@given(data=DATA, fields=FIELDS)
def test_sending_back_what_was_shown_changes_nothing(data: dict[str, Any], fields: list[str]) -> None:
    assert unmasked(masked(data, fields), data, fields) == data


@given(data=DATA, fields=FIELDS)
def test_masking_is_idempotent_and_leaves_the_original(data: dict[str, Any], fields: list[str]) -> None:
    before = repr(data)
    once = masked(data, fields)
    assert masked(once, fields) == once
    assert repr(data) == before


def test_keys_with_secrets_below() -> None:
    assert is_secret("a", ["a.b"])
    assert is_secret("a", ["*"])
    assert not is_secret("b", ["a.*"])
