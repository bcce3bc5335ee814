"""The schemas of values are complete: every value of values.yaml and of the presets is in them, and nothing else is
taken, at whatever depth."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
import yaml

from scripts.chart_rules import OPEN_BESIDE, OPEN_WHILE_OFF
from tests.charts.cases import CASES
from tests.support.helm import CHARTS

Json = dict[str, Any]
NAMES = ("sempre-server", "sempre-worker")
STRANGER = "aNameThatIsNone"


def _schema(chart: str) -> Json:
    schema: Json = json.loads((CHARTS / chart / "values.schema.json").read_text())
    return schema


def _values(chart: str) -> Json:
    values: Json = yaml.safe_load((CHARTS / chart / "values.yaml").read_text())
    return values


def _inner(schema: Json) -> Json:
    """The form of an object that is closed only while it is switched on."""
    closed: Json = schema.get("then", schema)
    return closed


def _unknown(schema: Json, values: Any, path: str = "") -> Iterator[str]:
    """Paths of values that the schema has no form for."""
    properties = _inner(schema).get("properties", {})
    if not isinstance(values, dict) or not properties:
        return
    for name, value in values.items():
        here = f"{path}.{name}" if path else name
        if name not in properties:
            yield here
        else:
            yield from _unknown(properties[name], value, here)


def _maps(schema: Json, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every object that has named properties."""
    properties = _inner(schema).get("properties", {})
    if properties:
        yield path
    for name, each in properties.items():
        yield from _maps(each, (*path, name))


def _at(values: Json, path: tuple[str, ...]) -> tuple[Json, Json]:
    """A copy of the values and the map at a path in it, all on the way switched on."""
    made = copy.deepcopy(values)
    place = made
    for step in ("", *path):
        place = place[step] if step else place
        if "enabled" in place:
            place["enabled"] = True
    return made, place


@pytest.mark.parametrize("chart", NAMES)
def test_every_value_has_its_form(chart: str) -> None:
    assert list(_unknown(_schema(chart), _values(chart))) == []
    validator = jsonschema_rs.validator_for(_schema(chart))
    assert [error.message for error in validator.iter_errors(_values(chart))] == []


def test_values_of_presets_and_of_the_matrix_have_their_form() -> None:
    for case in CASES:
        for path in case.values:
            given = yaml.safe_load(path.read_text())
            assert list(_unknown(_schema(case.chart), given)) == [], path.name


@pytest.mark.parametrize("chart", NAMES)
def test_no_other_name_is_taken_at_any_depth(chart: str) -> None:
    schema, values = _schema(chart), _values(chart)
    validator = jsonschema_rs.validator_for(schema)
    open_on_purpose = {path for name, path in OPEN_BESIDE if name == chart}
    asked = 0
    for path in _maps(schema):
        if ".".join(path) in open_on_purpose:
            continue
        asked += 1
        given, place = _at(values, path)
        assert validator.is_valid(given), path
        place[STRANGER] = {}
        assert not validator.is_valid(given), f"{'.'.join(path)}.{STRANGER} is taken"
    assert asked > 15


def test_what_is_open_is_so_for_a_reason() -> None:
    """Parent charts write `global`, and values of services that are not started are nobody's."""
    assert {path for _, path in OPEN_BESIDE} <= {"global"}
    assert {path for _, path in OPEN_WHILE_OFF} <= {"postgresql", "redis"}
