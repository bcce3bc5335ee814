"""Blocks, artifacts, variables and automations through the client's library: one process of it for all."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.conformance import facts
from tests.conformance.facts import Facts
from tests.support.prefect_env import PrefectClient
from tests.support.runs import Runs


@pytest.fixture(scope="module")
def reports(prefect: PrefectClient) -> dict[str, Facts]:
    return facts.parse(prefect.script("resources.py", timeout=300))


def test_secrets(reports: dict[str, Facts]) -> None:
    secrets = facts.of(reports, "secrets")
    assert (secrets["kept"], secrets["loaded"], secrets["kind"]) == ("first", {"deep": [1]}, "Secret")
    assert (secrets["twice"], secrets["gone"]) == ("ValueError", "ValueError")


def test_nested_blocks(reports: dict[str, Facts], runs: Runs) -> None:
    blocks = facts.of(reports, "blocks")
    assert blocks["loaded"] == ["raw", "db", "hidden", {"a": [1, 2]}]
    assert blocks["again"] == "cooked"
    assert blocks["through"] == ["other", "changed"], "a reference sees what the referred block has become"
    engine, warehouse = blocks["ids"]
    document = runs.get(f"/block_documents/{warehouse}")
    assert [item["block_document"]["id"] for item in document["block_document_references"].values()] == [engine]
    assert document["data"]["engine"]["host"] == "other"
    assert "changed" not in json.dumps(document), "secrets are hidden in nested blocks too"


def test_versions_of_a_block(reports: dict[str, Facts], runs: Runs) -> None:
    versions = facts.of(reports, "second_version")
    assert (versions["one"], versions["two"]) == (2, "new")
    kind = runs.get(f"/block_types/slug/{versions['slug']}")
    criteria = {"block_schemas": {"block_type_id": {"any_": [kind["id"]]}}}
    assert len(runs.post("/block_schemas/filter", criteria)) == 2


def test_artifacts(reports: dict[str, Facts], runs: Runs) -> None:
    artifacts = facts.of(reports, "artifacts")
    stored = {kind: runs.get(f"/artifacts/{id}") for kind, id in artifacts["ids"].items()}
    assert {kind: item["type"] for kind, item in stored.items() if kind not in ("later", "link")} == {
        "markdown": "markdown",
        "table": "table",
        "image": "image",
        "progress": "progress",
    }
    assert json.loads(stored["table"]["data"]) == [{"a": 1, "b": None}, {"a": 2.5, "b": "x"}]
    assert (stored["progress"]["data"], stored["progress"]["description"]) == (75.0, "nearly")
    assert artifacts["latest"] == [artifacts["ids"]["later"], "# again"]
    assert runs.get("/artifacts/conformance-report/latest")["data"] == "# again"
    assert artifacts["made"][1:] == [True, False]
    assert (artifacts["missing"], artifacts["bad_key"]) == (None, "ValidationError")


def test_variables(reports: dict[str, Facts], api: httpx.Client) -> None:
    variables = facts.of(reports, "variables")
    assert variables["read"] == {"text": "a", "number": 1.5, "none": None, "list": [1, {"x": None}], "flag": False}
    assert (variables["twice"], variables["bad"]) == ("ValueError", "ValidationError")
    assert variables["async"] == [{"a": 1}, True, "default"]
    assert variables["unset"] == [True, False]
    assert api.get("/variables/name/conformance_text").status_code == 404


def test_automations(reports: dict[str, Facts]) -> None:
    automations = facts.of(reports, "automations")
    assert automations["same"] is True
    assert automations["disabled"] is False, "enabled was False while it was switched off"
    assert automations["changed"] == [True, "changed", "run-deployment"]
    assert (automations["threshold"], automations["expect"]) == (2, ["conformance.*"])
    assert automations["gone"] == "ValueError"
    assert automations["metric"] == ["Metric", "successes", 0.5]


def test_errors_become_the_exceptions_of_the_library(reports: dict[str, Facts]) -> None:
    errors = facts.of(reports, "not_found")
    expected = errors.pop("expected")
    # read_flow does not translate the answer.
    assert errors.pop("flow") == "PrefectHTTPStatusError"
    assert set(errors.values()) == {expected}
