"""Placeholders and job variables."""

from __future__ import annotations

from typing import Any

import pytest

from sempre.core.job_variables import block_ids, command_words, laid_over, with_blocks, without_nulls
from sempre.core.placeholders import MISSING, fill, names


def filled(value: Any, **known: Any) -> Any:
    return fill(value, lambda name: known.get(name, MISSING))


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ n }}", 3),
        ("{{n}} of {{ n }}", "3 of 3"),
        ({"a": "{{ n }}", "b": ["{{ none }}", "{{ gone }}", "x"]}, {"a": 3, "b": [None, "x"]}),
        ({"gone": "{{ gone }}", "inside": "a{{ gone }}b{{ none }}"}, {"inside": "ab"}),
        ({"{{ n }}-key": True}, {"3-key": True}),
        ({"env": "{{ env }}"}, {"env": {"A": "1"}}),
        ([1, None, 2.5], [1, None, 2.5]),
    ],
)
def test_placeholders_become_values_of_their_own_type(template: Any, expected: Any) -> None:
    assert filled(template, n=3, none=None, env={"A": "1"}) == expected


def test_names_are_found_in_keys_and_values() -> None:
    assert names({"{{ a }}": ["{{ $B }}", "x {{ prefect.blocks.secret.my-token }}"]}) == {
        "a", "$B", "prefect.blocks.secret.my-token",
    }  # fmt: skip


def test_later_layers_win_and_env_is_laid_over_name_by_name() -> None:
    layers = (
        {"image": "a", "env": {"A": "1", "B": "1"}, "resources": {"limits": {"cpu": 1, "memory": 2}}},
        {"env": {"B": "2"}, "image": "b"},
        None,
        {"env.C": "3", "env.A": None, "resources.limits.cpu": 4, "new.key": 5},
    )
    assert laid_over(*layers) == {
        "image": "b",
        "env": {"A": None, "B": "2", "C": "3"},
        "resources": {"limits": {"cpu": 4, "memory": 2}},
        "new": {"key": 5},
    }
    assert layers[0]["env"] == {"A": "1", "B": "1"}, "layers are not changed"
    assert layers[0]["resources"] == {"limits": {"cpu": 1, "memory": 2}}


def test_null_takes_a_name_away() -> None:
    assert without_nulls({"A": None, "B": 1, "C": True, "D": "x"}) == {"B": "1", "C": "true", "D": "x"}


def test_commands_are_words() -> None:
    assert command_words("python -m 'my module'") == ["python", "-m", "my module"]
    assert command_words(["a", 1]) == ["a", "1"]
    assert command_words("") is None
    assert command_words(None) is None


def test_blocks_stand_in_for_their_references() -> None:
    value = {"credentials": {"$ref": {"block_document_id": "b1"}}, "list": [{"$ref": {"block_document_id": "b2"}}]}
    assert block_ids(value) == {"b1", "b2"}
    assert with_blocks(value, {"b1": {"user": "me"}, "b2": 2}) == {"credentials": {"user": "me"}, "list": [2]}
