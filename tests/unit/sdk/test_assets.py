"""What is told of assets that tasks use and make."""

from __future__ import annotations

from typing import Any

import pytest

from sempre.assets import Asset, AssetProperties, add_asset_metadata, materialize
from sempre.sdk.flows import flow
from sempre.sdk.tasks import task
from tests.unit.sdk.fakes import FakeWorld

RAW = Asset("s3://b/raw.csv", AssetProperties(name="Raw", url="https://x", description="d", owners=["o", "p"]))


@materialize(RAW, by="dbt")
def raw() -> dict[str, int]:
    RAW.add_metadata({"rows": 3})
    add_asset_metadata("s3://b/raw.csv", {"cols": 2})
    return {"v": 1}


@task
def pass_on(x: Any) -> Any:
    return {"w": x}


@materialize("s3://b/clean.csv", asset_deps=["s3://b/more.csv"], tags=["t"])
def clean(x: Any) -> int:
    return 2


@materialize("s3://b/one.csv", "s3://b/two.csv")
def bad() -> None:
    raise ValueError("no")


def told(world: FakeWorld) -> list[tuple[str, str]]:
    return [
        (event["event"].removeprefix("prefect.asset."), event["resource"]["prefect.resource.id"])
        for event in world.events
        if event["event"].startswith("prefect.asset.")
    ]


def roles(event: dict[str, Any], role: str) -> list[str]:
    return [each["prefect.resource.id"] for each in event["related"] if each["prefect.resource.role"] == role]


def test_what_is_made_and_what_it_was_made_of(world: FakeWorld) -> None:
    @flow
    def makes() -> None:
        clean(pass_on.submit(raw.submit()))
        bad(return_state=True)

    makes(return_state=True)
    assert told(world) == [
        ("materialization.succeeded", "s3://b/raw.csv"),
        ("referenced", "s3://b/more.csv"),
        ("referenced", "s3://b/raw.csv"),
        ("materialization.succeeded", "s3://b/clean.csv"),
        ("materialization.failed", "s3://b/one.csv"),
        ("materialization.failed", "s3://b/two.csv"),
    ]
    first, *_, made, _, _ = (event for event in world.events if event["event"].startswith("prefect.asset."))
    assert first["resource"] == {
        "prefect.resource.id": "s3://b/raw.csv", "prefect.resource.name": "Raw", "prefect.asset.url": "https://x",
        "prefect.asset.description": "d", "prefect.asset.owners": '["o", "p"]',
    }  # fmt: skip
    assert first["payload"] == {"rows": 3, "cols": 2}
    assert roles(first, "asset-materialized-by") == ["dbt"]
    assert roles(made, "asset") == ["s3://b/more.csv", "s3://b/raw.csv"]
    assert roles(made, "tag") == ["prefect.tag.t"]
    assert [len(roles(made, role)) for role in ("flow-run", "task-run", "flow")] == [1, 1, 1]


def test_what_was_not_made_now_is_not_told(world: FakeWorld) -> None:
    kept = raw.with_options(persist_result=True, result_storage_key="raw")
    kept()
    kept()
    assert told(world) == [("materialization.succeeded", "s3://b/raw.csv")]
    assert kept.assets == (RAW,)


def test_keys_and_places_that_are_none(world: FakeWorld) -> None:
    for key in ("", "table", "s3://b/with space", "s3://b/" + "x" * 512, "s3://b/{x}"):
        with pytest.raises(ValueError, match="key of an asset"):
            Asset(key)
    with pytest.raises(RuntimeError, match="@materialize"):
        add_asset_metadata(RAW, {})
    with pytest.raises(ValueError, match="does not make"):
        materialize("s3://b/a.csv")(lambda: add_asset_metadata(RAW, {}))()
    with pytest.raises(ValueError, match="at least one"):
        materialize()(lambda: None)
