"""Blocks, artifacts, variables and automations through the client's library."""

# mypy: disable-error-code="misc, no-untyped-def, untyped-decorator"

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect.artifacts import (
    Artifact,
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.automations import Automation
from prefect.blocks.core import Block
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.events.actions import DoNothing, RunDeployment
from prefect.events.schemas.automations import EventTrigger, MetricTrigger, Posture
from prefect.exceptions import ObjectNotFound
from prefect.variables import Variable
from pydantic import Field, SecretStr
from report import scenario  # type: ignore[import-not-found, unused-ignore]


class Engine(Block):
    """The inner one."""

    host: str = "localhost"
    password: SecretStr = SecretStr("unset")


class Warehouse(Block):
    """Refers to another block."""

    _block_type_name = "Conformance Warehouse"
    _block_type_slug = "conformance-warehouse"

    schema_name: str
    engine: Engine
    tags: dict[str, list[int]] = Field(default_factory=dict)


def raised(action: Any) -> str:
    """Name of the exception an action ends with."""
    try:
        action()
    except Exception as error:
        return type(error).__name__
    return "nothing"


def secrets() -> dict[str, Any]:
    Secret(value="first").save("conformance-secret")
    twice = raised(lambda: Secret(value="second").save("conformance-secret"))
    kept = Secret.load("conformance-secret").get()
    Secret(value={"deep": [1]}).save("conformance-secret", overwrite=True)
    loaded = Secret.load("conformance-secret").get()
    by_slug = Block.load("secret/conformance-secret")
    Secret.delete("conformance-secret")
    gone = raised(lambda: Secret.load("conformance-secret"))
    return {"kept": kept, "loaded": loaded, "twice": twice, "gone": gone, "kind": type(by_slug).__name__}


def blocks() -> dict[str, Any]:
    Warehouse.register_type_and_schema()
    engine = Engine(host="db", password=SecretStr("hidden"))
    engine_id = engine.save("conformance-engine")
    warehouse = Warehouse(schema_name="raw", engine=engine, tags={"a": [1, 2]})
    warehouse_id = warehouse.save("conformance-warehouse-main")
    loaded = Warehouse.load("conformance-warehouse-main")
    warehouse.schema_name = "cooked"
    warehouse.save("conformance-warehouse-main", overwrite=True)
    again = Warehouse.load("conformance-warehouse-main")
    Engine(host="other", password=SecretStr("changed")).save("conformance-engine", overwrite=True)
    through = Warehouse.load("conformance-warehouse-main")
    return {
        "ids": [str(engine_id), str(warehouse_id)],
        "loaded": [loaded.schema_name, loaded.engine.host, loaded.engine.password.get_secret_value(), loaded.tags],
        "again": again.schema_name,
        "through": [through.engine.host, through.engine.password.get_secret_value()],
    }


def second_version() -> dict[str, Any]:
    class Versioned(Block):
        _block_type_slug = "conformance-versioned"
        _block_type_name = "Conformance Versioned"
        one: int = 1

    Versioned(one=2).save("conformance-versioned")
    old = Versioned._block_type_slug

    class Later(Block):
        _block_type_slug = "conformance-versioned"
        _block_type_name = "Conformance Versioned"
        one: int = 1
        two: str | None = None

    Later.register_type_and_schema()
    loaded = Later.load("conformance-versioned", validate=False)
    Later(one=3, two="new").save("conformance-versioned", overwrite=True)
    return {"slug": old, "one": loaded.one, "two": Later.load("conformance-versioned").two}


def artifacts() -> dict[str, Any]:
    ids = {
        "markdown": create_markdown_artifact("# hi", key="conformance-report", description="first"),
        "later": create_markdown_artifact("# again", key="conformance-report"),
        "table": create_table_artifact([{"a": 1, "b": None}, {"a": 2.5, "b": "x"}], key="conformance-table"),
        "link": create_link_artifact("https://example.invalid/x", link_text="there", key="conformance-link"),
        "image": create_image_artifact("https://example.invalid/x.png", key="conformance-image"),
        "progress": create_progress_artifact(10.0, key="conformance-progress"),
    }
    update_progress_artifact(artifact_id=ids["progress"], progress=75.0, description="nearly")
    latest = Artifact.get("conformance-report")
    made, created = Artifact.get_or_create("conformance-made", data="x", type="markdown")
    _, second = Artifact.get_or_create("conformance-made", data="y", type="markdown")
    return {
        "ids": {key: str(value) for key, value in ids.items()},
        "latest": [str(latest.id), latest.data],
        "missing": Artifact.get("conformance-missing"),
        "made": [made.data, created, second],
        "bad_key": raised(lambda: create_markdown_artifact("x", key="Not A Key")),
    }


def variables() -> dict[str, Any]:
    for name, value in {"text": "a", "number": 1.5, "none": None, "list": [1, {"x": None}], "flag": False}.items():
        Variable.set(f"conformance_{name}", value, tags=["t"])
    read = {name: Variable.get(f"conformance_{name}") for name in ("text", "number", "none", "list", "flag")}

    async def later() -> list[Any]:
        await Variable.aset("conformance_async", {"a": 1})
        first = await Variable.aget("conformance_async")
        return [first, await Variable.aunset("conformance_async"), await Variable.aget("conformance_async", "default")]

    return {
        "read": read,
        "twice": raised(lambda: Variable.set("conformance_text", "b")),
        "bad": raised(lambda: Variable.set("Not A Name", "b")),
        "async": asyncio.run(later()),
        "unset": [Variable.unset("conformance_text"), Variable.unset("conformance_text")],
    }


def automations() -> dict[str, Any]:
    trigger = EventTrigger(
        expect={"conformance.*"},
        match={"prefect.resource.id": "conformance.resource"},
        for_each={"prefect.resource.id"},
        posture=Posture.Reactive,
        threshold=2,
        within=timedelta(seconds=10),
    )
    made = Automation(name="conformance-automation", trigger=trigger, actions=[DoNothing()]).create()
    by_id = Automation.read(id=made.id)
    by_name = Automation.read(name="conformance-automation")
    made.disable()
    disabled = Automation.read(id=made.id).enabled
    made.enable()
    made.description = "changed"
    made.actions = [RunDeployment(source="inferred", parameters={"x": "{{ event.id }}"})]
    made.update()
    changed = Automation.read(id=made.id)
    made.delete()
    metric = Automation(
        name="conformance-metric",
        trigger=MetricTrigger(
            metric={"name": "successes", "threshold": 0.5, "operator": "<", "range": 300, "firing_for": 300}
        ),
        actions=[DoNothing()],
    ).create()
    measured = Automation.read(id=metric.id).trigger
    metric.delete()
    return {
        "same": by_id.id == by_name.id == made.id,
        "disabled": disabled,
        "changed": [changed.enabled, changed.description, changed.actions[0].type],
        "threshold": by_id.trigger.threshold,
        "expect": sorted(by_id.trigger.expect),
        "gone": raised(lambda: Automation.read(id=made.id)),
        "metric": [measured.posture.value, measured.metric.name.value, measured.metric.threshold],
    }


def not_found() -> dict[str, Any]:
    nobody = UUID(int=0)
    with get_client(sync_client=True) as client:
        reads = {
            "flow": lambda: client.read_flow(nobody),
            "flow_run": lambda: client.read_flow_run(nobody),
            "deployment": lambda: client.read_deployment(nobody),
            "deployment_by_name": lambda: client.read_deployment_by_name("no/no"),
            "work_pool": lambda: client.read_work_pool("missing"),
            "block": lambda: client.read_block_document_by_name("missing", "secret"),
            "limit": lambda: client.read_global_concurrency_limit_by_name("missing"),
        }
        return {name: raised(read) for name, read in reads.items()} | {"expected": ObjectNotFound.__name__}


scenario("secrets", secrets)
scenario("blocks", blocks)
scenario("second_version", second_version)
scenario("artifacts", artifacts)
scenario("variables", variables)
scenario("automations", automations)
scenario("not_found", not_found)
